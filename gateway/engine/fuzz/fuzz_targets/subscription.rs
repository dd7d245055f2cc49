#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jackfield_cluster::fuzz::subscription(data));
