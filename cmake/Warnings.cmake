# our_warnings(TARGET…): the warnings our own code is held to; generated and third-party code is not.
# GCC's -Wconversion leaves sign conversions out; clang's has them.
function(our_warnings)
  foreach(target IN LISTS ARGN)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Werror
                                             $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>)
  endforeach()
endfunction()
