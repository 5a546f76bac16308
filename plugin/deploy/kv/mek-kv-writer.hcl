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
