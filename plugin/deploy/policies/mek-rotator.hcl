# mek-rotator: for the job or person that rotates the Master Encryption Key on schedule. It moves the key
# on and sees how it stands; it can't read a key, go back, or override a safeguard.
#
# For an engine mounted at mek/: replace that prefix if yours is elsewhere.

path "mek/rotate" {
  capabilities = ["update"]
  # `force` rotates over a key that is still staged, and `immediate` makes a key current before its
  # readers have it: an operator's decisions. Without `activation` the mount's settings decide.
  denied_parameters = {
    "force"      = []
    "activation" = ["immediate"]
  }
}

path "mek/activate" {
  capabilities = ["update"]
  # `force` activates before the readers are ready: an operator's decision.
  denied_parameters = {
    "force" = []
  }
}

path "mek/status" {
  capabilities = ["read"]
}

# Disabling the mount destroys every key for good. A deny wins over any other policy that the
# same token has.
path "sys/mounts/mek" {
  capabilities = ["deny"]
}
path "sys/mounts/mek/*" {
  capabilities = ["deny"]
}
