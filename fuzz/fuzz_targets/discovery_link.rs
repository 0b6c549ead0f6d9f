#![no_main]

#[allow(dead_code)]
#[path = "../../pure/neighbor-discovery/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::link(data));
