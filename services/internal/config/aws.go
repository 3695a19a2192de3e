package config

// AWS is what a provider of the kind aws has besides: an account at AWS End User Messaging SMS.
type AWS struct {
	Region              string `yaml:"region"`
	AccessKeyID         string `yaml:"access_key_id"`
	SecretAccessKeyFile string `yaml:"secret_access_key_file"`
	// ConfigurationSet names the set whose events are receipts, SNSTopic the topic that they go
	// to: its subscription is confirmed at receipts/name.
	ConfigurationSet     string `yaml:"configuration_set"`
	SNSTopic             string `yaml:"sns_topic"`
	ProtectConfiguration string `yaml:"protect_configuration"`
	// SNSURL is where SNS has its certificates; empty is the vendor's own, and is right
	// wherever no simulator is asked.
	SNSURL string `yaml:"sns_url"`
}

func (a AWS) faults() (all []string) {
	for _, f := range []struct{ value, field string }{
		{a.Region, "region"}, {a.AccessKeyID, "access_key_id"}, {a.SecretAccessKeyFile, "secret_access_key_file"},
	} {
		if f.value == "" {
			all = append(all, f.field+": is missing")
		}
	}
	if a.SNSTopic != "" && a.ConfigurationSet == "" {
		all = append(all, "sns_topic: needs a configuration_set that reports to it")
	}
	return all
}
