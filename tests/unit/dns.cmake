# The resolver of user-defined networks, and the files that point containers to it.
dray_unit_test(test_dns SOURCES test_dns.c LIBS dray_dns)
if(TARGET dray_engine)
    dray_unit_test(test_resolv SOURCES test_resolv.c LIBS dray_engine)
endif()
