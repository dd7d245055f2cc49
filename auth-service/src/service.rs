//! Builds, starts and stops the service.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::Router;
use chrono::{TimeDelta, Utc};
use jackfield_cluster::{revocations::Revocations, revocations_over_redis};
use jackfield_shared::{ids::new_id, lifecycle::Lifecycle, serve::serve, settings::SettingsError, trace};
use jsonwebtoken::jwk::JwkSet;
use sqlx::migrate::MigrateError;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{App, Limits},
    demo::{self, DemoError},
    http::{self, Started},
    keys::{self, KeyManager, KeyRing, KeysError},
    list_keeper,
    logins::{self, Logins},
    passwords::{Cost, PasswordError, Passwords},
    revoker::Revoker,
    settings::AuthSettings,
    sign_in::LoginTerms,
    tokens::Tokens,
    users::{OpenError, Users, UsersError},
};

/// Timeout of one attempt to start: database connection, schema, signing keys and demo users together.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two deletions of logins that are over.
const DELETE_EVERY: Duration = Duration::from_mins(10);
/// How long a login and all its tokens have been over when it is deleted: longer than clocks differ.
const DELETE_AFTER: TimeDelta = TimeDelta::hours(1);
/// Pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting makes no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database does not answer, or refuses.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The signing keys cannot be made or read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Passwords cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The demo users cannot be created.
    #[error("cannot create the demo users")]
    Demo(#[from] DemoError),
    /// One attempt took longer than `START_TIMEOUT`.
    #[error("the database was not ready within {} s", START_TIMEOUT.as_secs())]
    TooSlow,
    /// The process was stopped before the database answered.
    #[error("stopped before the database was ready")]
    Stopped,
    /// A port cannot be bound.
    #[error("cannot listen on {0}")]
    Listen(String, #[source] std::io::Error),
}

impl StartError {
    /// Whether a retry may help: the database is away or starts up, or the hasher is busy.
    fn is_temporary(&self) -> bool {
        match self {
            Self::Open(OpenError::Database(error) | OpenError::Migrate(MigrateError::Execute(error))) => {
                UsersError::is_unavailable(error)
            }
            Self::Users(error) | Self::Keys(KeysError::Users(error)) | Self::Demo(DemoError::Users(error)) => {
                matches!(error, UsersError::Unavailable(_))
            }
            Self::Demo(DemoError::Password(error)) => *error == PasswordError::Busy,
            Self::TooSlow => true,
            _ => false,
        }
    }
}

/// The service, built but not served: the caller binds it to a port.
pub struct AuthService {
    app: Arc<App>,
    origins: Vec<String>,
}

impl AuthService {
    /// Opens the database, brings its schema up to date, and creates what is missing: signing keys and, if enabled, the
    /// demo users. Waits for a database that does not answer, for as long as it takes. Afterwards a background task
    /// follows the stored keys.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn build(settings: AuthSettings, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        settings.check()?;
        jackfield_shared::metrics::install(crate::metrics::METRICS, lifecycle);
        trace::install(&settings.otel, "jackfield-auth", &new_id(), lifecycle)?;
        let stopping = lifecycle.stopping();
        loop {
            let attempt = tokio::time::timeout(START_TIMEOUT, Self::try_build(&settings, lifecycle));
            let result = stopping.run_until_cancelled(attempt).await.ok_or(StartError::Stopped)?;
            match result.unwrap_or(Err(StartError::TooSlow)) {
                Err(error) if error.is_temporary() => {
                    let error = anyhow::Error::from(error);
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "cannot start yet, retrying; check the database at `database.url` (DATABASE_URL)"
                    );
                }
                built => return built,
            }
            stopping.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await.ok_or(StartError::Stopped)?;
        }
    }

    async fn try_build(settings: &AuthSettings, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        let users = Users::open(&settings.database.url, settings.database.connections).await?;
        let manager = KeyManager::new(&users, settings);
        let stored = manager.upkeep(Utc::now()).await?;
        let ring = KeyRing::new(&stored, Utc::now()).map_err(KeysError::from)?;
        tracing::info!(kid = ring.kid(), published = ring.public().keys.len(), "loaded the signing keys");
        let passwords = Passwords::new(Cost::STANDARD, &settings.password, lifecycle).await?;
        if settings.seed.enabled {
            demo::create_missing(&users, &passwords).await?;
        }
        let app = App {
            jwks: watch::Sender::new(ring.public().clone()),
            passwords,
            tokens: Tokens::new(settings.token.clone(), ring),
            limits: Limits::new(&settings.login, &settings.register),
            logins: Logins::of(&users),
            revoker: Revoker::new(settings.token.lifetime),
            login: LoginTerms::new(&settings.login),
            users,
            seed_enabled: settings.seed.enabled,
            proxy_hops: settings.proxy.hops as usize,
        };
        tracing::info!(demo_users = app.seed_enabled, "accounts are ready");
        let app = Arc::new(app);
        lifecycle.spawn(delete_logins(app.logins.clone(), lifecycle.stopping()));
        lifecycle.spawn(keys::task::follow(manager, Arc::clone(&app), lifecycle.stopping()));
        Ok(Self { app, origins: settings.cors.origins.clone() })
    }

    /// Records revoked tokens in this list, which the gateways follow, and again what the list has lost. Call it before
    /// the first request; without a list a gateway accepts every token until it expires.
    pub fn revoke_through(&self, list: Revocations, lifecycle: &Lifecycle) {
        self.app.revoker.record_in(list.clone());
        lifecycle.spawn(list_keeper::keep(Arc::clone(&self.app), list, lifecycle.stopping()));
    }

    /// The public routes: `/api` and below, and the key set. Any other path gets 404.
    pub fn router(&self) -> Router {
        http::public_router(&self.app, &self.origins)
    }

    /// Samples the gauges, for [`jackfield_shared::metrics::render`].
    pub fn sample_gauges(&self) {
        crate::metrics::sample(&self.app);
    }

    /// The public keys, for a verifier in the same process.
    #[must_use]
    pub fn jwks(&self) -> watch::Receiver<JwkSet> {
        self.app.jwks.subscribe()
    }

    /// Whether the database answers.
    pub async fn is_ready(&self) -> bool {
        http::health::database_answers(&self.app).await
    }

    /// Closes the database connections. Call it after the last request.
    pub async fn close(&self) {
        self.app.users.close().await;
    }
}

/// The service on its two ports.
pub struct Server {
    service: AuthService,
    addresses: (SocketAddr, SocketAddr),
    serving: [JoinHandle<()>; 2],
}

impl Server {
    /// Binds the ports, then builds the service. Until it is built, the internal port reports it alive but unready, and
    /// the public port answers 503.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(settings: AuthSettings, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        settings.check()?;
        let (public, public_address) = listen(&settings.host, settings.port).await?;
        let (internal, internal_address) = listen(settings.internal_host(), settings.internal_port()?).await?;
        let started = Arc::new(OnceLock::new());
        let routes = [
            (public, http::once_started(Arc::clone(&started))),
            (internal, http::health::router(Arc::clone(&started), lifecycle.stopping())),
        ];
        let serving =
            routes.map(|(listener, routes)| lifecycle.spawn(serve(listener, routes, None, lifecycle.clone())));
        let (has_redis, prefix) = (settings.redis.is_set(), settings.redis.prefix.clone());
        let redis = has_redis.then(|| settings.redis.topology()).transpose()?;
        let service = AuthService::build(settings, lifecycle).await?;
        match redis {
            Some(topology) => service.revoke_through(revocations_over_redis(topology, &prefix, lifecycle), lifecycle),
            None => tracing::warn!(
                "no Redis is set (`redis.url`, REDIS_URL): gateways are told nothing about logouts, changed passwords and \
                 deactivated users, and accept tokens until they expire; set it to the Redis of the gateways"
            ),
        }
        // Only this line sets it, so it cannot fail.
        let _ = started.set(Started { app: Arc::clone(&service.app), routes: service.router() });
        Ok(Self { service, addresses: (public_address, internal_address), serving })
    }

    /// The addresses of the public and the internal port.
    #[must_use]
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        self.addresses
    }

    /// The service on these ports.
    #[must_use]
    pub fn service(&self) -> &AuthService {
        &self.service
    }

    /// Serves until the lifecycle stops. The lifecycle tracks the requests that are still in progress then.
    pub async fn serve(self) -> AuthService {
        for serving in self.serving {
            // An error means that the task panicked: it has ended, too.
            let _ = serving.await;
        }
        self.service
    }
}

/// Runs the service on its two ports until the lifecycle stops. Then waits for requests in progress, at most `grace`,
/// and for the database connections to close, again at most `grace`.
///
/// # Errors
/// [`StartError`].
pub async fn run(settings: AuthSettings, lifecycle: &Lifecycle, grace: Duration) -> Result<(), StartError> {
    let starting = Box::pin(Server::bind(settings, lifecycle));
    let server = match lifecycle.stopping().run_until_cancelled(starting).await {
        None | Some(Err(StartError::Stopped)) => return Ok(()),
        Some(started) => started?,
    };
    let (public, internal) = server.addresses();
    tracing::info!(%public, %internal, "listening");
    let service = server.serve().await;
    if !lifecycle.finish(grace).await {
        tracing::warn!(?grace, "requests still in progress after the grace period are dropped");
    }
    // A database connection that hangs must not keep the process alive.
    let _ = tokio::time::timeout(grace, service.close()).await;
    Ok(())
}

/// Deletes logins that are over, again and again until stopped.
async fn delete_logins(logins: Logins, stopping: CancellationToken) {
    loop {
        let deleting = logins.delete_over(logins::now() - DELETE_AFTER);
        match stopping.run_until_cancelled(deleting).await {
            None => return,
            Some(Ok(0)) => {}
            Some(Ok(deleted)) => tracing::debug!(deleted, "deleted logins that are over"),
            Some(Err(error)) => tracing::warn!(%error, "cannot delete logins that are over; retried in a few minutes"),
        }
        if stopping.run_until_cancelled(tokio::time::sleep(DELETE_EVERY)).await.is_none() {
            return;
        }
    }
}

async fn listen(host: &str, port: u16) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(format!("{host}:{port}"), error);
    let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
