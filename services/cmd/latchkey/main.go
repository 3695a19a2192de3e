// Command latchkey is a whole Latchkey in one binary, and the command line of operators
// and auditors.
package main

import (
	"latchkey.dev/services/cmd/internal/auditor"
	"latchkey.dev/services/cmd/internal/console"
	"latchkey.dev/services/cmd/internal/dispatcher"
	"latchkey.dev/services/cmd/internal/login"
	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/cmd/internal/verifier"
)

// commands is the command line.
type commands struct {
	Up upCommand `cmd:"" help:"Run everything on this machine: a private PostgreSQL, an embedded bus, all services, simulated carriers."`

	Login      login.Command      `cmd:"" help:"Run the login service." group:"One service alone"`
	Console    console.Command    `cmd:"" help:"Run the console service." group:"One service alone"`
	Dispatcher dispatcher.Command `cmd:"" help:"Run the dispatcher service." group:"One service alone"`
	Verifier   verifier.Command   `cmd:"" help:"Run the verifier service." group:"One service alone"`
	Auditor    auditor.Command    `cmd:"" help:"Run the auditor service." group:"One service alone"`
	Bus        busCommand         `cmd:"" help:"Run the embedded bus server." group:"One service alone"`
	Carriers   carriersCommand    `cmd:"" help:"Run the simulated carriers and their phones." group:"One service alone"`

	Keys      keysCommand      `cmd:"" help:"Make the key files that are missing." group:"Setting up"`
	Migrate   migrateCommand   `cmd:"" help:"Bring the databases to this version's schema." group:"Setting up"`
	Provision provisionCommand `cmd:"" help:"Make the stream and its consumers, and write down the softwares." group:"Setting up"`

	Doctor     doctorCommand      `cmd:"" help:"Look at the installation, and say what is wrong and what to do." group:"Operating"`
	Account    accountCommands    `cmd:"" help:"Open and list accounts." group:"Operating"`
	Key        keyCommands        `cmd:"" help:"Give products keys to the API, and revoke them." group:"Operating"`
	Member     memberCommands     `cmd:"" help:"Save, list and show people, deactivate and unlock them, reset passwords." group:"Operating"`
	Device     deviceCommands     `cmd:"" help:"List people's registrations, and revoke them." group:"Operating"`
	Software   softwareCommands   `cmd:"" help:"List what people sign in to." group:"Operating"`
	Provider   providerCommands   `cmd:"" help:"See who carries texts, test, pin, drain and order the providers." group:"Operating"`
	Operator   operatorCommands   `cmd:"" help:"Give people the operator right, and take it away." group:"Operating"`
	DeadLetter deadLetterCommands `cmd:"" name:"deadletter" help:"See messages that could not be handled, and have them handled again." group:"Operating"`

	Audit auditCommands `cmd:"" help:"Replay events, and see alarms." group:"Auditing"`

	App   appCommands  `cmd:"" help:"Sign in as a mobile app does: with a key of its own, by the public API." group:"Trying"`
	Proof proofCommand `cmd:"" help:"Make a DPoP proof of a device's key, for curl." group:"Trying"`
	Bench benchCommand `cmd:"" help:"Measure whole lives on this machine, and what the machine does at best." group:"Trying"`
}

func main() {
	serve.Main("latchkey", "Latchkey, the second lock for logins: the device.", new(commands), "warn")
}
