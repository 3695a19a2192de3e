package carriers

// TwilioSignature is what the simulator signs its status callbacks with.
var TwilioSignature = twilioSignature
