//! `jackfield-auth keys …`: operators rotate and list the keys, while services run.

use std::{fmt::Write as _, time::Duration};

use chrono::{DateTime, Utc};
use clap::Subcommand;
use humantime::format_duration;
use jackfield_shared::time::rfc3339;

use super::{
    KeyManager, KeysError,
    rotation::{Key, Rotation, State},
};
use crate::{settings::AuthSettings, users::Users};

/// Connections of a command.
const CONNECTIONS: u32 = 1;

/// Commands for the keys that sign tokens.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum KeysCommand {
    /// Let the next key sign, and publish another next one
    Rotate {
        /// Also if the next key was published for less than `keys.publishBefore`
        #[arg(long)]
        now: bool,
    },
    /// List the keys, without their private parts
    List,
}

/// Executes the command on the database of the settings. Returns the text to print.
///
/// # Errors
/// [`KeysError`].
pub async fn run(command: KeysCommand, settings: &AuthSettings) -> Result<String, KeysError> {
    let users = Users::open(&settings.database.url, CONNECTIONS).await?;
    let done = match command {
        KeysCommand::Rotate { now: force } => rotate(&users, settings, force).await,
        KeysCommand::List => users.keys().all().await.map_err(Into::into).map(|stored| {
            let keys: Vec<Key> = stored.into_iter().map(|stored| stored.key).collect();
            table(&keys)
        }),
    };
    users.close().await;
    done
}

async fn rotate(users: &Users, settings: &AuthSettings, force: bool) -> Result<String, KeysError> {
    let now = Utc::now();
    let (rotation, next) = KeyManager::new(users, settings).rotate(now, force).await?;
    Ok(report(&rotation, &next, settings.keys.publish_before, now))
}

/// The keys as a table.
fn table(keys: &[Key]) -> String {
    let time = |at: Option<DateTime<Utc>>| at.map_or_else(|| "-".to_owned(), rfc3339);
    let line = |cells: [&str; 6]| {
        let [kid, state, published, signs, ends, sealed] = cells;
        format!("{kid:36}  {state:7}  {published:24}  {signs:24}  {ends:24}  {sealed}\n")
    };
    let mut text = line(["KID", "STATE", "PUBLISHED SINCE", "SIGNS SINCE", "PUBLISHED UNTIL", "SEALED"]);
    for Key { kid, state, published, sealed, .. } in keys {
        let (name, since, ends) = match *state {
            State::Next => ("next", None, None),
            State::Current { since } => ("current", Some(since), None),
            State::Old { since, ends } => ("old", Some(since), Some(ends)),
        };
        let sealed = if *sealed { "yes" } else { "no" };
        text += &line([kid, name, &rfc3339(*published), &time(since), &time(ends), sealed]);
    }
    text
}

/// The effect of a rotation, for the operator.
fn report(rotation: &Rotation, next: &str, publish_before: Duration, now: DateTime<Utc>) -> String {
    let Rotation { retired, ends, promoted, since, published_for, .. } = rotation;
    let whole = |duration: Duration| format_duration(Duration::from_secs(duration.as_secs()));
    let mut text = match (*since - now).to_std() {
        Ok(wait) if !wait.is_zero() => {
            let wait = Duration::from_secs(wait.as_secs() + 1);
            format!("Key {promoted} signs from {} on, in {}.\n", rfc3339(*since), format_duration(wait))
        }
        _ => format!("Key {promoted} signs from now on, {}; every service follows within 3s.\n", rfc3339(*since)),
    };
    let _ = writeln!(
        text,
        "Key {retired} stops signing then, and stays published until {}: its tokens stay valid.",
        rfc3339(*ends)
    );
    let _ = writeln!(text, "Key {next} is published as the next key.");
    if *published_for < publish_before {
        let _ = writeln!(
            text,
            "Warning: {promoted} will have been published for only {}, not {} (`keys.publishBefore`). Gateways fetch \
             it when they see its first token. A gateway behind a cache of the key set refuses its tokens until the \
             cache ends.",
            whole(*published_for),
            format_duration(publish_before),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn rotation(since: i64, published_for: u64) -> Rotation {
        Rotation {
            retired: "a".into(),
            token_seconds: 1,
            ends: at(since) + TimeDelta::hours(2),
            promoted: "b".into(),
            since: at(since),
            published_for: Duration::from_secs(published_for),
        }
    }

    #[test]
    fn a_rotation_is_reported_with_its_time() {
        let before = Duration::from_secs(600);
        let calm = report(&rotation(0, 600), "c", before, at(0));
        assert!(calm.starts_with("Key b signs from now on, 2027-01-15T08:00:00.000Z;"), "{calm}");
        assert!(
            calm.contains("Key a stops signing then, and stays published until 2027-01-15T10:00:00.000Z"),
            "{calm}"
        );
        assert!(!calm.contains("Warning"), "{calm}");
        let forced = report(&rotation(10, 15), "c", before, at(0));
        assert!(forced.starts_with("Key b signs from 2027-01-15T08:00:10.000Z on, in 11s."), "{forced}");
        assert!(forced.contains("published for only 15s, not 10m"), "{forced}");
    }

    #[test]
    fn the_table_has_a_line_for_each_key() {
        let key = |kid: &str, state, sealed| Key { kid: kid.into(), state, published: at(0), token_seconds: 1, sealed };
        let keys = [
            key("a", State::Current { since: at(1) }, true),
            key("b", State::Next, true),
            key("c", State::Old { since: at(2), ends: at(3) }, false),
        ];
        let text = table(&keys);
        let words: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        let [zero, one, two, three] = [0, 1, 2, 3].map(|seconds| rfc3339(at(seconds)));
        assert_eq!(words[0], ["a", "current", &zero, &one, "-", "yes"]);
        assert_eq!(words[1], ["b", "next", &zero, "-", "-", "yes"]);
        assert_eq!(words[2], ["c", "old", &zero, &two, &three, "no"]);
    }
}
