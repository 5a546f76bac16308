# A workflow (OpenBao 2.6 and later): rotates the record in the engine, then copies it to the KV v2 secret
# that services read today. Both with the caller's token: no credential is stored anywhere.
#
#   bao write sys/workflows/manage/mek-rotate-and-copy workflow=@mek-rotate-and-copy.hcl
#   bao write -f sys/workflows/execute/mek-rotate-and-copy reason="quarterly rotation"
#
# The caller needs what mek-workflow.hcl gives; that includes reading the keys. Replace mek/ and
# services/all/kv/ if yours are elsewhere.
#
# Whatever goes wrong, no key is lost: the engine has every one. If the copy fails (someone else wrote the
# secret in between, say), the rotation stands; copy again, also after a rollback or an activation, with
#
#   bao write sys/workflows/execute/mek-rotate-and-copy rotate=false

input {
  field "bool" "rotate" {
    description = "Whether to rotate first. False: only copy the live record."
    default     = true
  }
  field "string" "reason" {
    description = "Why, for the engine's history. No key material."
    default     = ""
  }
}

flow "mek" {
  # The secret's version, read before the record: two runs at once, or a change made by hand, can never
  # put an older record over a newer one. None yet: 0, which creates it.
  request "secret" {
    operation = "read"
    path      = "services/all/kv/metadata/encryption/keys/stored_data"
  }

  request "rotate" {
    when = {
      eval_source = "input"
      eval_type   = "bool"
      field_name  = "rotate"
    }
    operation = "update"
    path      = "mek/rotate"
    data = {
      reason = {
        eval_source = "input"
        eval_type   = "string"
        field_name  = "reason"
      }
    }
  }

  request "record" {
    operation = "read"
    path      = "mek/data/encryption/keys/stored_data"
  }

  # The whole record, fields that we don't know included.
  request "copy" {
    operation = "update"
    path      = "services/all/kv/data/encryption/keys/stored_data"
    data = {
      options = {
        cas = {
          eval_source = "cel"
          eval_type   = "int"
          expression  = "size(responses.mek.secret) == 0 ? 0 : int(responses.mek.secret.data.current_version)"
        }
      }
      data = {
        eval_source    = "response"
        eval_type      = "map"
        flow_name      = "mek"
        response_name  = "record"
        field_selector = ["data", "data"]
      }
    }
  }
}

output {
  data = {
    current_kid = {
      eval_source    = "response"
      eval_type      = "string"
      flow_name      = "mek"
      response_name  = "record"
      field_selector = ["data", "data", "current_kid"]
    }
    version = {
      eval_source    = "response"
      eval_type      = "int"
      flow_name      = "mek"
      response_name  = "record"
      field_selector = ["data", "metadata", "version"]
    }
    kv_version = {
      eval_source    = "response"
      eval_type      = "int"
      flow_name      = "mek"
      response_name  = "copy"
      field_selector = ["data", "version"]
    }
  }
}
