mod checker;
mod record;
mod self_test;
