#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "engine/known_keys.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "mek/document.h"

namespace engine {
namespace {

using base::Json;
using base::JsonText;
using openbao::FieldData;
using openbao::FieldType;
using openbao::Operation;
using openbao::Request;
using openbao::Response;

Answer List(Mount& mount, const Request& request, const FieldData&) {
  openbao::Storage& storage = *request.storage;
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(storage));
  ASSIGN_OR_RETURN(const VersionPtr live, mount.records().Live(storage));
  ASSIGN_OR_RETURN(const std::vector<Reader> readers,
                   mount.readers().Seen(storage, mount.Now() - config.reader_timeout));
  Response response;
  const absl::StatusOr<std::vector<Ack>> acks = GetAcks(storage);
  if (!acks.ok() && !mek::IsUnreadable(acks.status())) return acks.status();
  if (!acks.ok()) response.warnings.emplace_back(acks.status().message());
  Json keys = Json::array();
  Json info = Json::object();
  for (const Reader& reader : readers) {
    keys.push_back(JsonText(reader.name()));
    info[base::JsonString(reader.name())] =
        Json{{"kind", "fetched"},
             {"version", reader.version},
             {"time", TimeOrEmpty(reader.seen)},
             {"is_behind", live != nullptr && IsBehind(reader, live->doc)},
             {"display_name", JsonText(reader.display_name)},
             {"entity_id", JsonText(reader.entity_id)},
             {"accessor", JsonText(reader.accessor)},
             {"address", JsonText(reader.address)}};
  }
  for (const Ack& ack : acks.ok() ? *acks : std::vector<Ack>()) {
    const std::string name = base::Cat("consumer:", ack.consumer, ":", ack.kid);
    keys.push_back(JsonText(name));
    info[base::JsonString(name)] =
        Json{{"kind", "acknowledged"}, {"kid", JsonText(ack.kid)}, {"time", TimeOrEmpty(ack.time)}};
  }
  response.data["keys"] = std::move(keys);
  if (!info.empty()) response.data["key_info"] = std::move(info);
  if (mount.readers().incomplete()) {
    response.warnings.push_back(
        base::Cat("some readers may be missing: more than ", Readers::kMaxReaders,
                  " were seen, or what was kept of them could not be read"));
  }
  return response;
}

Answer Acknowledge(Mount& mount, const Request& request, const FieldData& data) {
  openbao::Storage& storage = *request.storage;
  const std::string consumer(*data.String("consumer"));
  const std::string kid(*data.String("kid"));
  if (!IsValidConsumer(consumer)) {
    return absl::InvalidArgumentError(base::Cat("consumer: expected ", kConsumerRule));
  }
  ASSIGN_OR_RETURN(const FairLock::Holder holder, mount.Lock(request));
  ASSIGN_OR_RETURN(const VersionPtr live, mount.records().Live(storage));
  ASSIGN_OR_RETURN(const KnownKey known, FindKey(mount, storage, live.get(), kid));
  const mek::VersionDoc& doc = live->doc;
  if (!known.is_current && doc.staged_kid != kid) {
    return absl::FailedPreconditionError(
        base::Cat("kid ", kid, " is ", mek::KeyStateName(known.state),
                  ": expected the staged kid, or the current one. Nothing was changed"));
  }
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(storage));
  const absl::Time now = mount.Now();
  RETURN_IF_ERROR(PutAck(storage, {.consumer = consumer, .kid = kid, .time = now},
                         {doc.record.current_kid(), doc.staged_kid.value_or("")}));
  mount.logger().Info("a consumer acknowledged a key", {{"mount", request.mount_point},
                                                        {"consumer", consumer},
                                                        {"kid", kid},
                                                        {"display_name", request.display_name}});
  Response response;
  if (std::ranges::find(config.required_acks, consumer) == config.required_acks.end()) {
    response.warnings.push_back(base::Cat(
        "config required_acks does not name ", consumer, ", so nothing waits for it; it names ",
        config.required_acks.empty() ? "none" : absl::StrJoin(config.required_acks, ", ")));
  }
  if (doc.staged_kid.has_value() && known.is_current) {
    response.warnings.push_back(base::Cat("kid ", kid, " is the current one; the staged kid ",
                                          *doc.staged_kid, " still waits for ", consumer));
  }
  response.data = Json{{"consumer", JsonText(consumer)},
                       {"kid", JsonText(kid)},
                       {"state", JsonText(mek::KeyStateName(known.state))},
                       {"time", TimeOrEmpty(now)}};
  return response;
}

}  // namespace

std::vector<openbao::Path> ReadersPaths() {
  openbao::Path list;
  list.pattern = "readers";
  list.synopsis = "Who has fetched the record, which version and when; and who acknowledged.";
  list.description =
      "A reader is a token (by a digest of its accessor) at an address, as the active node saw it "
      "on the record's read paths; what a standby serves is not seen, unless config activate_early "
      "is set, which sends every read to the active node. That an agent fetched the record doesn't "
      "show that the process behind it loaded it. consumer:NAME entries are acknowledgements.";
  list.operations.push_back({.operation = Operation::kList,
                             .handler = Bind(List),
                             .summary = "List the readers (-detailed: with what they have).",
                             .active_node_only = true});

  openbao::Path ack;
  ack.pattern = "ack";
  ack.synopsis = "Say that a consumer has a key.";
  ack.description =
      "For readers that load the record only at their start (nvcf-api, api-keys) it means: rolled "
      "out since the key was staged. A staged key waits for the consumers in config "
      "required_acks.";
  ack.fields = {{.name = "consumer",
                 .type = FieldType::kString,
                 .description = "The consumer's name, as in config required_acks.",
                 .required = true},
                {.name = "kid",
                 .type = FieldType::kString,
                 .description = "The kid that it has; status shows the staged one.",
                 .required = true}};
  ack.operations.push_back({.operation = Operation::kUpdate,
                            .handler = Bind(Acknowledge),
                            .summary = "Acknowledge a key.",
                            .active_node_only = true});
  return {list, ack};
}

}  // namespace engine
