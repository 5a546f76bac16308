# our_warnings(TARGET…): the warnings our own code is held to; generated and third-party code is not.
function(our_warnings)
  foreach(target IN LISTS ARGN)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Werror)
  endforeach()
endfunction()
