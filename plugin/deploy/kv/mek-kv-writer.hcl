# mek-kv-writer: for the engine itself, where the record lives in a KV v2 secret (config/home type=kv).
# It is all that the engine needs there: give it to the AppRole or JWT role that config/home names.
#
# For the secret encryption/keys/stored_data of a KV engine mounted at services/all/kv/.

path "services/all/kv/data/encryption/keys/stored_data" {
  capabilities = ["create", "read", "update"]
}
path "services/all/kv/metadata/encryption/keys/stored_data" {
  capabilities = ["read"]
}

# Whether the KV engine deletes versions by itself (delete_version_after), to warn of it.
path "services/all/kv/config" {
  capabilities = ["read"]
}

# Its own token, which the policy "default" grants too: what it may do, how long it lives, to renew it, and to revoke it when
# another has taken its place.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
