#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jackfield_engine::fuzz::request(data));
