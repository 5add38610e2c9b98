# Tests of the Dockerfile language and of the path patterns.
dray_unit_test(test_dockerfile SOURCES test_dockerfile.c LIBS builder_dockerfile_lang)
dray_unit_test(test_dockerfile_words SOURCES test_dockerfile_words.c LIBS builder_dockerfile_lang)
dray_unit_test(test_pathmatch SOURCES test_pathmatch.c)
dray_unit_test(test_dockerfile_lint SOURCES test_dockerfile_lint.c LIBS builder_dockerfile_lang)
dray_unit_test(test_client_build SOURCES test_client_build.c LIBS dray_client)
