# Third-party libraries, all from Debian 12 (versions and reasons: src/adr/0001-dependencies.md).
# gRPC, Protobuf and Abseil come by pkg-config because Debian's CMake files name only the shared
# libraries, and the plugin is linked static.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_program(PROTOC protoc REQUIRED)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

pkg_check_modules(GRPCPP REQUIRED grpc++>=1.51 protobuf>=3.21 openssl>=3.0)
pkg_check_modules(ABSL REQUIRED absl_statusor absl_status absl_strings absl_str_format absl_time
                  absl_synchronization absl_flat_hash_map absl_span)
pkg_check_modules(OPENSSL REQUIRED libcrypto>=3.0)

add_library(deps_grpc INTERFACE)
target_link_libraries(deps_grpc INTERFACE ${GRPCPP_STATIC_LIBRARIES} Threads::Threads)
add_library(deps_absl INTERFACE)
target_link_libraries(deps_absl INTERFACE ${ABSL_STATIC_LIBRARIES} Threads::Threads)
add_library(deps_crypto INTERFACE)
target_link_libraries(deps_crypto INTERFACE ${OPENSSL_STATIC_LIBRARIES} Threads::Threads)

# The KV client: TLS, names, and Boost.Beast's HTTP parser, which is headers only.
pkg_check_modules(TLS REQUIRED libssl>=3.0)
pkg_check_modules(CARES REQUIRED libcares>=1.18)
find_path(BOOST_BEAST boost/beast/http/parser.hpp REQUIRED)
add_library(deps_tls INTERFACE)
target_link_libraries(deps_tls INTERFACE ${TLS_STATIC_LIBRARIES} Threads::Threads)
add_library(deps_cares INTERFACE)
target_link_libraries(deps_cares INTERFACE ${CARES_STATIC_LIBRARIES} Threads::Threads)
