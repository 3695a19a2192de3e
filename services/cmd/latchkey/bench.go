package main

import (
	"context"
	"os"
	"time"

	"latchkey.dev/services/bench"
)

// benchCommand is `latchkey bench`.
type benchCommand struct {
	Dir     string        `help:"Folder, on the disk to be measured, under which a folder for the data is made." default:"/var/tmp" type:"path"`
	At      []int         `help:"How many lives at a time." default:"1,16,64,256"`
	Lives   int           `help:"Lives at the levels from 64 on; fewer below." default:"6000"`
	Time    time.Duration `help:"How long each measurement takes that has no number of lives." default:"10s"`
	JSON    string        `help:"File for the whole report." type:"path"`
	Profile string        `help:"File for a CPU profile of Latchkey at 64 lives at a time, and <file>.checks at 64 checks." type:"path"`
	Keep    bool          `help:"Keep the data and the logs."`
}

// Run measures this machine and prints the tables.
func (c *benchCommand) Run(ctx context.Context) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	return bench.Run(ctx, bench.Options{Binary: binary, Dir: c.Dir, Keep: c.Keep, Levels: c.At, Lives: c.Lives, Time: c.Time,
		Profile: c.Profile, JSON: c.JSON, Out: os.Stdout})
}
