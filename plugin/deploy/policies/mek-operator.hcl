# mek-operator: for the few people who look after the Master Encryption Key. They adopt a record, go back
# to an earlier version, override safeguards, and configure the engine. They can't read a key, nor destroy
# one: mek/destroy-key/* needs `sudo`, which no shipped policy gives.
#
# For an engine mounted at mek/: replace that prefix if yours is elsewhere.

path "mek/init" {
  capabilities = ["update"]
}
path "mek/import" {
  capabilities = ["update"]
}
path "mek/rollback" {
  capabilities = ["update"]
}
path "mek/repair" {
  capabilities = ["update"]
}

# With `force`, which mek-rotator lacks: in an incident nobody should need a root token.
path "mek/rotate" {
  capabilities = ["update"]
}
path "mek/activate" {
  capabilities = ["update"]
}

# Each key's life: retire, restore, compromised.
path "mek/keys" {
  capabilities = ["list"]
}
path "mek/keys/*" {
  capabilities = ["read", "update", "list"]
}

path "mek/config" {
  capabilities = ["read", "update"]
}

path "mek/status" {
  capabilities = ["read"]
}
path "mek/versions" {
  capabilities = ["list"]
}
path "mek/versions/*" {
  capabilities = ["read", "list"]
}
path "mek/readers" {
  capabilities = ["list"]
}
# To say that a consumer has a staged key. A deployment pipeline may get just this, with
# allowed_parameters { "consumer" = ["api-keys"], "kid" = [] }.
path "mek/ack" {
  capabilities = ["update"]
}
path "mek/verify" {
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
