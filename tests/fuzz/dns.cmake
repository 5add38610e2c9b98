# fuzz_dns: cmake -DDRAY_FUZZ=ON -DCMAKE_C_COMPILER=clang.
add_executable(fuzz_dns ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_dns.c ${CMAKE_SOURCE_DIR}/core/dns/answer.c
    ${CMAKE_SOURCE_DIR}/core/dns/table.c)
target_include_directories(fuzz_dns PRIVATE ${CMAKE_SOURCE_DIR}/core)
target_compile_options(fuzz_dns PRIVATE -fsanitize=fuzzer,address,undefined -O1)
target_link_options(fuzz_dns PRIVATE -fsanitize=fuzzer,address,undefined)
target_link_libraries(fuzz_dns PRIVATE dray_base ${LDNS_ARCHIVE} PkgConfig::CRYPTO PkgConfig::SSL)
