//! A database and a server for each test, and requests to the server.

mod database;
mod redis;
pub mod revocations;
mod server;

pub use database::Database;
pub use redis::RefusingRedis;
pub use server::{Reply, TestServer};

/// Runs each of these functions on both databases, as tests `sqlite::…` and `postgres::…`.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::harness::Database::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::harness::Database::on_postgres(super::$test).await;
            })*
        }
    };
}
pub(crate) use on_both;
