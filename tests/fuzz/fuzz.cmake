# dray_fuzz(NAME SOURCES ... LIBS ... INCLUDES ... SEEDS N): a program that eats hostile bytes, tests/fuzz/fuzz_NAME.c.
#
# cmake --preset fuzz makes libFuzzer programs of them: build-fuzz/tests/unit/fuzz_NAME DIR tests/fuzz/corpus/NAME.
# Elsewhere each is a test that goes through its corpus (replay.c): whole, torn, spoiled.
set(fuzz ${CMAKE_SOURCE_DIR}/tests/fuzz)

function(dray_fuzz name)
    cmake_parse_arguments(M "" "" "SOURCES;LIBS;INCLUDES" ${ARGN})
    if(NOT DRAY_TESTS)
        return()
    endif()
    add_executable(fuzz_${name} ${fuzz}/fuzz_${name}.c ${M_SOURCES})
    target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/core ${fuzz} ${M_INCLUDES})
    target_link_libraries(fuzz_${name} PRIVATE dray_sdk ${M_LIBS})
    if(DRAY_FUZZ)
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
        return()
    endif()
    target_sources(fuzz_${name} PRIVATE ${fuzz}/replay.c)
    if(IS_DIRECTORY ${fuzz}/corpus/${name})
        add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${fuzz}/corpus/${name})
    endif()
endfunction()

set(plugins ${CMAKE_SOURCE_DIR}/plugins)

# Images and builds. The words of the language are in tests/fuzz/dockerfile.dict (-dict=); seeds.py DIR makes tars.
dray_fuzz(manifest LIBS dray_engine)
dray_fuzz(tar_scan LIBS dray_engine)
dray_fuzz(layer_tar LIBS dray_plugin_lib)
dray_fuzz(dockerfile LIBS builder_dockerfile_lang)
dray_fuzz(dockerignore LIBS dray_sdk)
dray_fuzz(dns LIBS dray_dns)

# What the API is sent, and what the engine reads at start.
dray_fuzz(create LIBS dray_engine)
dray_fuzz(query LIBS dray_api)
dray_fuzz(websocket SOURCES ${CMAKE_SOURCE_DIR}/core/api/websocket.c ${CMAKE_SOURCE_DIR}/core/api/registry_auth.c
    LIBS dray_base PkgConfig::MHD PkgConfig::CRYPTO Threads::Threads)
dray_fuzz(client LIBS dray_client)
dray_fuzz(settings LIBS dray_engine)
dray_fuzz(documents LIBS dray_engine)
dray_fuzz(template LIBS dray_client)
dray_fuzz(seccomp INCLUDES ${plugins}/runtime-native
    SOURCES ${plugins}/runtime-native/seccomp.c ${plugins}/runtime-native/compact.c
    LIBS dray_engine dray_plugin_runtime PkgConfig::SECCOMP)

# Builds of clients that speak BuildKit's protocol.
dray_fuzz(protobuf LIBS dray_kit)
dray_fuzz(grpc LIBS dray_kit)

# Other processes: plugins', shims', the proxy.
dray_fuzz(wire LIBS dray_plugin_host)
file(GLOB shim_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/shim/*.c)
list(FILTER shim_sources EXCLUDE REGEX "/(main|shim|zygote)\\.c$")
dray_fuzz(shim SOURCES ${shim_sources} LIBS dray_plugin_host dray_base)
file(GLOB proxy_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/proxy/*.c)
list(FILTER proxy_sources EXCLUDE REGEX "/main\\.c$")
dray_fuzz(proxy SOURCES ${proxy_sources} LIBS dray_base)

# Servers that drivers ask, and files that they read.
set(hub ${plugins}/registry-hub)
dray_fuzz(registry INCLUDES ${hub} SOURCES ${hub}/account.c ${hub}/answer.c ${hub}/auth.c ${hub}/call.c ${hub}/pull.c
    ${hub}/push.c ${hub}/scheme.c ${hub}/target.c ${hub}/words.c
    LIBS PkgConfig::CURL PkgConfig::JSONC PkgConfig::CRYPTO Threads::Threads)
foreach(bridge volume-remote ipam-remote authz-remote net-remote) # each exports the same symbol
    string(REPLACE - _ symbol ${bridge})
    set_source_files_properties(${plugins}/${bridge}/plugin.c PROPERTIES
        COMPILE_DEFINITIONS dray_plugin_v1=fuzz_${symbol})
    list(APPEND bridges ${plugins}/${bridge}/plugin.c)
endforeach()
dray_fuzz(remote INCLUDES ${plugins}/lib-remote ${plugins}/net-remote
    SOURCES ${bridges} ${plugins}/lib-remote/answer.c ${plugins}/net-remote/store.c ${plugins}/net-remote/link.c
    LIBS dray_plugin_netlink PkgConfig::JSONC Threads::Threads)
dray_fuzz(cgroup LIBS dray_plugin_runtime)
dray_fuzz(userdb LIBS dray_plugin_runtime)
dray_fuzz(log_files INCLUDES ${plugins}/log-json-file ${plugins}/log-local
    SOURCES ${plugins}/log-json-file/decode.c ${plugins}/log-local/format.c LIBS dray_plugin_log)
