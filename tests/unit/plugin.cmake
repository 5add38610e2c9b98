# Tests of core/plugin.
