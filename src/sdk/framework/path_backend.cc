#include "sdk/framework/path_backend.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "sdk/framework/openapi.h"
#include "sdk/logical/errors.h"

namespace openbao {
namespace {

using base::Cat;

bool HasBody(Operation operation) {
  return operation == Operation::kUpdate || operation == Operation::kPatch;
}

void EraseIf(base::Json& parameters, const char* name, std::string_view value) {
  const auto at = parameters.find(name);
  if (at != parameters.end() && *at == base::JsonText(value)) parameters.erase(at);
}

// The request's parameters as the operation takes them. A copy only where some are left out (into
// `scratch`): they may hold key material, and be large.
const base::Json& Parameters(const Request& request, const PathOperation& operation,
                             base::Json& scratch) {
  const bool lists =
      operation.operation == Operation::kList || operation.operation == Operation::kScan;
  if (!operation.any_parameters && !lists) return request.data;
  scratch = base::Json::object();
  if (operation.any_parameters) return scratch;
  scratch = request.data;
  // The host leaves the marks of a listing among them (?list=true).
  scratch.erase("list");
  scratch.erase("scan");
  // `bao list` sends both of its flags when one is given, the other as it is by default.
  EraseIf(scratch, "after", "");
  EraseIf(scratch, "limit", "-1");
  return scratch;
}

absl::Status CheckFields(const Path& path) {
  for (const Field& field : path.fields) {
    if (std::ranges::count(path.fields, field.name, &Field::name) > 1) {
      return absl::InvalidArgumentError(Cat("the field ", field.name, " stands twice"));
    }
    if (!field.allowed.empty() && field.type != FieldType::kString) {
      return absl::InvalidArgumentError(
          Cat("the field ", field.name, " has allowed values and is no string"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPattern(const Path& path) {
  constexpr std::string_view kRest = "...}";
  if (const std::size_t end = path.pattern.find(kRest);
      end != std::string::npos && end + kRest.size() != path.pattern.size()) {
    return absl::InvalidArgumentError("nothing can stand after what takes the rest of a path");
  }
  for (const std::string& name : CapturedNames(path.pattern)) {
    if (std::ranges::find(path.fields, name, &Field::name) == path.fields.end()) {
      return absl::InvalidArgumentError(Cat("{", name, "} has no field"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckOperations(const Path& path) {
  for (const PathOperation& operation : path.operations) {
    const std::string_view name = OperationName(operation.operation);
    switch (operation.operation) {
      case Operation::kCreate:
        return absl::InvalidArgumentError("create is never dispatched; a write is an update");
      case Operation::kHelp:
      case Operation::kRollback:
      case Operation::kOther:
        return absl::InvalidArgumentError(Cat(name, " is never dispatched"));
      default:
        break;
    }
    if (operation.handler == nullptr) {
      return absl::InvalidArgumentError(Cat(name, " has no handler"));
    }
    if (std::ranges::count(path.operations, operation.operation, &PathOperation::operation) > 1) {
      return absl::InvalidArgumentError(Cat(name, " stands twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTable(const PathTable& table) {
  for (const Path& path : table.paths) {
    for (const auto check : {CheckFields, CheckPattern, CheckOperations}) {
      if (const absl::Status status = check(path); !status.ok()) {
        return absl::InvalidArgumentError(Cat("path ", path.pattern, ": ", status.message()));
      }
    }
  }
  return absl::OkStatus();
}

PathBackend::PathBackend(std::shared_ptr<const PathTable> table, SystemView& system)
    : table_(std::move(table)), system_(system) {}

absl::StatusOr<bool> PathBackend::IsStandby() {
  if (const Standby known = standby_.load(); known != Standby::kUnknown) {
    return known == Standby::kYes;
  }
  ASSIGN_OR_RETURN(const bool answer, system_.PerformanceStandby());
  // Known to others only when OnActive has returned.
  absl::MutexLock lock(&first_answer_);
  if (standby_.load() == Standby::kUnknown) {
    if (!answer) OnActive();
    standby_.store(answer ? Standby::kYes : Standby::kNo);
  }
  return standby_.load() == Standby::kYes;
}

absl::StatusOr<std::optional<Response>> PathBackend::HandleRequest(const Request& request) {
  switch (request.operation) {
    case Operation::kHelp:
      return Help(request);
    case Operation::kRollback: {
      ASSIGN_OR_RETURN(const bool standby, IsStandby());
      if (!standby) RETURN_IF_ERROR(OnTick(request));
      return std::nullopt;
    }
    case Operation::kOther:
      return UnsupportedOperation();
    default:
      return Dispatch(request);
  }
}

absl::StatusOr<std::optional<Response>> PathBackend::Dispatch(const Request& request) {
  // All writes are updates: the host asks for no existence check, so it sends no create.
  const Operation operation =
      request.operation == Operation::kCreate ? Operation::kUpdate : request.operation;
  bool path_found = false;
  for (const Path& path : table_->paths) {
    const auto captured = MatchPath(path.pattern, request.path);
    if (!captured.has_value()) continue;
    path_found = true;
    const auto serves = std::ranges::find(path.operations, operation, &PathOperation::operation);
    if (serves == path.operations.end()) continue;
    ASSIGN_OR_RETURN(const bool standby, IsStandby());
    if (standby && serves->active_node_only) return ReadOnlyStorage();
    base::Json scratch;
    ASSIGN_OR_RETURN(
        const FieldData data,
        FieldData::Parse(path.fields, Parameters(request, *serves, scratch), *captured,
                         HasBody(operation) ? FieldData::Use::kBody : FieldData::Use::kQuery));
    return serves->handler(*this, request, data);
  }
  return path_found ? UnsupportedOperation() : UnsupportedPath();
}

absl::StatusOr<std::optional<Response>> PathBackend::Help(const Request& request) const {
  Response response;
  if (request.path.empty()) {
    response.data["help"] = base::JsonText(RootHelp(table_->description, table_->paths));
    response.data["see_also"] = nullptr;
    response.data["openapi"] =
        OpenApiDocument(table_->title, table_->version, table_->paths, table_->special.root);
    return response;
  }
  for (const Path& path : table_->paths) {
    // Help is asked of a pattern as well as of a path that matches it.
    if (path.pattern != request.path && !MatchPath(path.pattern, request.path).has_value())
      continue;
    response.data["help"] = base::JsonText(PathHelp(path));
    response.data["see_also"] = nullptr;
    response.data["openapi"] =
        OpenApiDocument(table_->title, table_->version, {path}, table_->special.root);
    return response;
  }
  return UnsupportedPath();
}

}  // namespace openbao
