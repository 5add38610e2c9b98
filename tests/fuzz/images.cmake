# fuzz_manifest: manifests, indexes, configs, references. fuzz_tar_scan: tars that are mapped. See storage.cmake
# for how to build. For coverage of the engine itself: -DCMAKE_C_FLAGS=-fsanitize=fuzzer-no-link,address,undefined
foreach(target fuzz_manifest fuzz_tar_scan)
    add_executable(${target} ${CMAKE_SOURCE_DIR}/tests/fuzz/${target}.c)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer,address,undefined -O1)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer,address,undefined)
    target_link_libraries(${target} PRIVATE dray_engine)
endforeach()
