#![no_main]

#[allow(dead_code)]
#[path = "../../pure/bgp-speaker/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::scenario(data));
