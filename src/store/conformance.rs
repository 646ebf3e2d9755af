//! The conformance suite of the engines' operations.
//!
//! Invariant: a test here uses only [`Engine`]. To test another engine, open it in [`engines`].

#[cfg(feature = "postgres")]
#[path = "../../tests/integration/cluster.rs"]
#[allow(dead_code, reason = "the integration tests need more of it")]
mod cluster;

use super::engine::Engine;
use super::model::{
    Action, Answered, Handle, Inserted, Meta, Name, NewRow, Protection, Replaced, Replacement, RowKey, TokenRecord,
};
use super::receipt::{End, Reads, Receipt, Status, TokenMark};
use super::sqlite::Sqlite;
use super::{Limits, Location, Role, StoreError};
use crate::clock::{UnixSeconds, unix_now};
use crate::crypto::{PasswordHash, sha256};
use crate::network::Network;
use crate::paste::Expiry;
use crate::spool::{Spool, SpoolRoom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const LIMITS: Limits = Limits {
    max_db_bytes: 0,
    dedup_max: 2,
    dedup_window_seconds: 100,
    expiry_seconds: 1000,
    id_length: 12,
    max_paste_bytes: 10 << 20,
    lease_seconds: 600,
    receipt_seconds: 1000,
};

/// A folder removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("flaskpaste-engine-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn open(&self, limits: Limits) -> Engine {
        let location = Location::File(self.0.join("pastes.db"));
        Engine::Sqlite(Sqlite::open(&location, &self.0.join("pepper"), limits, Role::Server).unwrap().0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a test with each kind of engine.
fn engines(test: impl Fn(&Engine)) {
    engines_with(LIMITS, test);
}

/// Likewise with other limits.
fn engines_with(limits: Limits, test: impl Fn(&Engine)) {
    let memory = Sqlite::open(&Location::memory().unwrap(), Path::new(""), limits, Role::Server).unwrap().0;
    test(&Engine::Sqlite(memory));
    databases(|open| test(&open(limits)));
}

/// Runs a test with each kind of persistent database, which it opens with the given function.
fn databases(test: impl Fn(&dyn Fn(Limits) -> Engine)) {
    let folder = Folder::new();
    test(&|limits| folder.open(limits));
    #[cfg(feature = "postgres")]
    postgres::databases(test);
}

/// Engines on PostgreSQL.
#[cfg(feature = "postgres")]
mod postgres {
    use super::super::postgres::{Address, Postgres};
    use super::*;

    /// Separate databases, with and without prepared statements; none without PostgreSQL.
    pub(super) fn databases(test: impl Fn(&dyn Fn(Limits) -> Engine)) {
        for parameter in ["", "?prepare=off"] {
            let folder = Folder::new();
            if let Some(url) = database(&folder) {
                let url = format!("{url}{parameter}");
                test(&|limits| open(&folder, &url, limits));
            }
        }
    }

    /// The URL of a new database named after a folder.
    fn database(folder: &Folder) -> Option<String> {
        if cluster::programs().is_none() {
            assert!(std::env::var_os("CI").is_none(), "PostgreSQL 15 or newer is required in CI");
            return None;
        }
        let name = folder.0.file_name().unwrap().to_str().unwrap().replace('-', "_");
        Some(cluster::Cluster::shared().database(&name))
    }

    fn open(folder: &Folder, url: &str, limits: Limits) -> Engine {
        let address = Address::parse(url, |_| None).unwrap();
        Engine::Postgres(Postgres::open(&address, &folder.0.join("pepper"), limits, Role::Server).unwrap().0)
    }
}

fn name(text: &str) -> Name {
    Name(sha256(text.as_bytes()))
}

/// A row with this name and content of `size` bytes.
fn row(text: &str, size: usize) -> NewRow {
    let folder = std::env::temp_dir();
    let mut spool = Spool::new(&folder, &SpoolRoom::of(u64::MAX), false).unwrap();
    spool.push(&vec![b'x'; size]).unwrap();
    let meta = Meta {
        size: size as u64,
        created_at: unix_now(),
        expiry: Expiry::Sliding(unix_now() + 1000),
        reads_left: None,
        burn: false,
        protection: Protection::None,
        token: mark(text),
        answer_proof: None,
    };
    NewRow {
        name: name(text),
        meta,
        owner: None,
        sealed_key: vec![1; 60],
        details: b"details".to_vec(),
        sealed_id: None,
        mark: sha256(text.as_bytes()),
        content: Arc::new(spool.finish().unwrap()),
        token: None,
        submission: None,
        arriving_bytes: 0,
    }
}

/// The same with a read limit.
fn limited(text: &str, size: usize, reads: u32) -> NewRow {
    let mut new = row(text, size);
    (new.meta.reads_left, new.meta.burn) = (Some(reads), reads == 1);
    new
}

fn mark(text: &str) -> TokenMark {
    TokenMark::Bound(sha256(text.as_bytes()))
}

#[track_caller]
fn insert(engine: &Engine, row: NewRow) -> RowKey {
    let name = row.name;
    assert!(matches!(engine.insert(row).unwrap(), Inserted::Stored));
    engine.find(&name).unwrap().unwrap().key
}

fn expires_at(engine: &Engine, text: &str) -> UnixSeconds {
    engine.find(&name(text)).unwrap().unwrap().meta.expiry.at()
}

#[test]
fn rows_round_trip() {
    engines(|engine| {
        engine.health().unwrap();
        let mut new = row("a", 200_000);
        (new.meta.burn, new.meta.reads_left) = (true, Some(1));
        new.meta.protection = Protection::Password(PasswordHash::new(b"p", 1).unwrap());
        new.owner = Some([9; 32]);
        let (expiry, content) = (new.meta.expiry, Arc::clone(&new.content));
        let key = insert(engine, new);
        assert!(engine.find(&name("b")).unwrap().is_none());
        let (found, first) = engine.find_with_piece(&name("a")).unwrap().unwrap();
        assert_eq!((found.key, found.meta.size, found.meta.expiry, found.meta.burn), (key, 200_000, expiry, true));
        assert_eq!(found.meta.reads_left, Some(1));
        assert!(matches!(found.meta.protection, Protection::Password(hash) if hash.verify(b"p")));
        assert_eq!((found.owner, found.meta.token), (Some([9; 32]), mark("a")));
        assert_eq!((found.sealed_key, found.details), (vec![1; 60], b"details".to_vec()));
        content
            .for_each_piece(|number, piece| -> std::io::Result<()> {
                assert_eq!(engine.piece(key, number).unwrap(), piece, "{number}");
                assert!(number > 0 || first == piece);
                Ok(())
            })
            .unwrap();
        assert!(engine.piece(key, 4).unwrap().is_empty() && engine.piece(key, u64::MAX).unwrap().is_empty());
    });
}

#[test]
fn gates_round_trip() {
    engines(|engine| {
        for (text, proof) in [("a", None), ("b", Some([2; 32]))] {
            let mut new = row(text, 5);
            new.meta.protection = Protection::Gate { link_proof: [1; 32], password_proof: proof };
            insert(engine, new);
            match engine.find(&name(text)).unwrap().unwrap().meta.protection {
                Protection::Gate { link_proof, password_proof } => {
                    assert_eq!((link_proof, password_proof), ([1; 32], proof));
                }
                _ => panic!("the gate is gone"),
            }
        }
    });
}

#[test]
fn names_are_unique_and_refused_inserts_change_nothing() {
    engines(|engine| {
        let key = insert(engine, row("a", 5));
        let mut again = row("a", 10);
        again.token = Some(b"token".to_vec());
        again.submission = Some(Handle(1));
        assert!(matches!(engine.insert(again).unwrap(), Inserted::NameTaken));
        assert!(!engine.is_spent(b"token").unwrap());
        let found = engine.find(&name("a")).unwrap().unwrap();
        assert_eq!((found.key, found.meta.size), (key, 5));
    });
}

#[test]
fn names_that_share_a_handle_are_distinguished() {
    engines(|engine| {
        insert(engine, row("a", 5));
        let mut other = name("a");
        other.0[31] ^= 1;
        assert_eq!(other.handle(), name("a").handle());
        assert!(engine.find(&other).unwrap().is_none() && engine.find_with_piece(&other).unwrap().is_none());
        // Handles are unique: operators name pastes by them.
        assert!(matches!(engine.insert(NewRow { name: other, ..row("b", 5) }).unwrap(), Inserted::NameTaken));
    });
}

#[test]
fn a_token_is_spent_once_with_or_without_a_row() {
    engines(|engine| {
        let paid = |text: &str| NewRow { token: Some(b"token".to_vec()), ..row(text, 5) };
        insert(engine, paid("a"));
        assert!(engine.is_spent(b"token").unwrap() && !engine.is_spent(b"other").unwrap());
        assert!(matches!(engine.insert(paid("b")).unwrap(), Inserted::TokenSpent));
        assert!(engine.find(&name("b")).unwrap().is_none());
        engine.spend(b"other".to_vec()).unwrap();
        engine.spend(b"other".to_vec()).unwrap();
        assert!(engine.is_spent(b"other").unwrap());
    });
}

#[test]
fn duplicates_are_counted_in_their_window() {
    engines(|engine| {
        let submit = |text: &str, at: UnixSeconds, hash| {
            let mut new = NewRow { submission: Some(Handle(hash)), ..row(text, 5) };
            new.meta.created_at = at;
            engine.insert(new).unwrap()
        };
        let now = unix_now();
        assert!(matches!(submit("a", now, u64::MAX), Inserted::Stored));
        assert!(matches!(submit("b", now + 10, u64::MAX), Inserted::Stored));
        match submit("c", now + 40, u64::MAX) {
            Inserted::Duplicate(duplicate) => {
                assert_eq!((duplicate.count, duplicate.retry_after_seconds), (3, 60));
            }
            _ => panic!("the third of two"),
        }
        assert!(matches!(submit("d", now + 40, 1), Inserted::Stored), "another content");
        assert!(matches!(submit("e", now + 100, u64::MAX), Inserted::Stored), "the first has left the window");
    });
}

#[test]
fn concurrent_takes_have_one_winner() {
    engines(|engine| {
        for size in [5, 3_000_000] {
            let text = size.to_string();
            let key = insert(engine, limited(&text, size, 1));
            let taken = std::thread::scope(|scope| {
                let take = || engine.take(key, size as u64, &std::env::temp_dir(), unix_now()).unwrap();
                let takers: Vec<_> = (0..16).map(|_| scope.spawn(take)).collect();
                takers.into_iter().filter_map(|taker| taker.join().unwrap()).collect::<Vec<_>>()
            });
            assert_eq!(taken.len(), 1);
            let pieces = size.div_ceil(crate::at_rest::PIECE_BYTES) as u64;
            assert!((0..pieces).all(|number| !taken[0].piece(number).unwrap().is_empty()));
            assert!(taken[0].piece(pieces).unwrap().is_empty());
            assert!(engine.find(&name(&text)).unwrap().is_none() && engine.piece(key, 0).unwrap().is_empty());
        }
    });
}

#[test]
fn reads_and_leases_together_stay_within_the_limit() {
    engines(|engine| {
        for reads in [1, 2, 5] {
            let text = reads.to_string();
            let key = insert(engine, limited(&text, 5, reads));
            let now = unix_now();
            let given = std::thread::scope(|scope| {
                let ask = |number: u8| {
                    if number.is_multiple_of(2) {
                        engine.take(key, 5, &std::env::temp_dir(), now).unwrap().map(|_| None)
                    } else {
                        engine.lease(key, [number; 32], now + 100, now).unwrap().map(|_| Some([number; 32]))
                    }
                };
                let readers: Vec<_> = (0..32).map(|number| scope.spawn(move || ask(number))).collect();
                readers.into_iter().filter_map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
            });
            assert_eq!(given.len(), reads as usize);
            for lease in given.into_iter().flatten() {
                assert!(!engine.piece(key, 0).unwrap().is_empty() && engine.is_leased(key, lease, now).unwrap());
                assert!(engine.end_lease(key, lease, now).unwrap() && !engine.end_lease(key, lease, now).unwrap());
            }
            assert!(engine.find(&name(&text)).unwrap().is_none() && engine.piece(key, 0).unwrap().is_empty());
        }
    });
}

#[test]
fn a_lease_is_valid_for_its_row_until_it_ends() {
    engines(|engine| {
        let (one, other) = (insert(engine, limited("a", 5, 2)), insert(engine, limited("b", 5, 2)));
        let now = unix_now();
        assert_eq!(engine.lease(one, [1; 32], now + 100, now).unwrap(), Some(1));
        assert!(engine.is_leased(one, [1; 32], now + 99).unwrap());
        for (key, lease, at) in [(one, [1; 32], now + 100), (one, [2; 32], now), (other, [1; 32], now)] {
            assert!(!engine.is_leased(key, lease, at).unwrap() && !engine.end_lease(key, lease, at).unwrap());
        }
        assert!(engine.end_lease(one, [1; 32], now).unwrap());
        assert_eq!(engine.find(&name("a")).unwrap().unwrap().meta.reads_left, Some(1), "there is a read left");
        let unlimited = insert(engine, row("c", 5));
        assert_eq!(engine.lease(unlimited, [3; 32], now + 100, now).unwrap(), None);
        assert!(engine.take(unlimited, 5, &std::env::temp_dir(), now).unwrap().is_none());
    });
}

#[test]
fn ended_rows_leave_a_receipt() {
    engines(|engine| {
        let now = unix_now();
        let receipt = |text: &str| engine.receipt(mark(text)).unwrap();
        let read_at = |at| Reads { count: 1, first_at: Some(at), last_at: Some(at) };
        let key = insert(engine, limited("read", 5, 1));
        let expires_at = expires_at(engine, "read");
        assert!(matches!(
            engine.status(key, now).unwrap(),
            Some(Status::Alive { reads: Reads { count: 0, .. }, reads_left: Some(1), .. })
        ));
        engine.take(key, 5, &std::env::temp_dir(), now).unwrap().unwrap();
        assert_eq!(receipt("read"), Some(Receipt { end: End::Read, ended_at: now, expires_at, reads: read_at(now) }));
        assert!(engine.status(key, now).unwrap().is_none());
        let key = insert(engine, row("deleted", 5));
        engine.touch(key, unix_now() + 1000, None, Reads::one(now - 5));
        engine.touch(key, unix_now() + 1000, None, Reads::one(now - 3));
        let reads = Reads { count: 2, first_at: Some(now - 5), last_at: Some(now - 3) };
        assert!(matches!(engine.status(key, now).unwrap(), Some(Status::Alive { reads: found, .. }) if found == reads));
        engine.delete(key, End::Deleted, now).unwrap();
        assert!(receipt("deleted").is_some_and(|receipt| receipt.end == End::Deleted && receipt.reads == reads));
        let mut dying = row("expired", 5);
        dying.meta.expiry = Expiry::Fixed(now + 10);
        let key = insert(engine, dying);
        assert!(matches!(
            engine.status(key, now + 10).unwrap(),
            Some(Status::Ended(Receipt { end: End::Expired, .. }))
        ));
        engine.purge(now + 20).unwrap();
        let expected = Receipt { end: End::Expired, ended_at: now + 10, expires_at: now + 10, reads: Reads::default() };
        assert_eq!(receipt("expired"), Some(expected));
        assert!(receipt("another").is_none());
        // Made before there were receipts.
        let mut old = row("old", 5);
        old.meta.token = TokenMark::Plain(sha256(b"old"));
        let key = insert(engine, old);
        engine.delete(key, End::Deleted, now).unwrap();
        assert!(receipt("old").is_none());
    });
}

#[test]
fn keys_of_deleted_rows_are_not_reused() {
    engines(|engine| {
        let first = insert(engine, row("a", 100_000));
        let delete = || engine.delete(first, End::Deleted, unix_now()).unwrap();
        assert!(delete() && !delete());
        assert!(engine.find(&name("a")).unwrap().is_none());
        assert!((0..2).all(|number| engine.piece(first, number).unwrap().is_empty()));
        assert_ne!(insert(engine, row("a", 5)), first);
    });
}

#[test]
fn a_touch_only_extends_an_expiry() {
    engines(|engine| {
        let key = insert(engine, row("a", 5));
        let later = unix_now() + 5000;
        engine.touch(key, unix_now() + 1000, Some(later), Reads::default());
        engine.touch(key, unix_now() + 1000, Some(later - 100), Reads::default());
        engine.touch(key, unix_now() + 1000, None, Reads::one(unix_now()));
        assert_eq!(expires_at(engine, "a"), later);
    });
}

#[test]
fn clients_are_charged_only_for_their_own_attempts() {
    engines(|engine| {
        let key = insert(engine, row("a", 5));
        let (one, other) = (Network::V4([192, 0, 2, 1].into()), Network::V6([1, 2, 3, 4]));
        let now = unix_now();
        let tries = (0..100).take_while(|_| engine.charge_try(key, one, now).unwrap().is_ok()).count();
        assert!((3..20).contains(&tries), "{tries} free tries");
        assert_eq!(engine.charge_try(key, other, now).unwrap(), Ok(()));
        engine.refund_try(key, other, now).unwrap();
        engine.forgive_tries(key, one).unwrap();
        assert_eq!(engine.charge_try(key, one, now).unwrap(), Ok(()));
    });
}

#[test]
fn a_setting_is_initialized_once() {
    engines(|engine| {
        assert_eq!(engine.setting("x", vec![1]).unwrap(), [1]);
        assert_eq!(engine.setting("x", vec![2]).unwrap(), [1]);
    });
}

#[test]
fn statistics_and_purge() {
    engines(|engine| {
        let now = unix_now();
        insert(engine, NewRow { owner: Some([1; 32]), ..row("a", 1000) });
        let mut dying = row("b", 500);
        dying.meta.expiry = Expiry::Fixed(now + 500);
        insert(engine, dying);
        let stats = engine.stats(now).unwrap();
        assert_eq!((stats.pastes, stats.content_bytes, stats.owned, stats.expired), (2, 1500, 1, 0));
        assert!(stats.used_bytes > 1500 && engine.used_bytes().unwrap() > 1500);
        let stats = engine.stats(now + 500).unwrap();
        assert_eq!((stats.pastes, stats.content_bytes, stats.expired), (1, 1000, 1));
        assert_eq!(engine.purge(now + 500).unwrap(), 1);
        assert!(engine.find(&name("a")).unwrap().is_some() && engine.find(&name("b")).unwrap().is_none());
    });
}

#[test]
fn a_closed_database_reopens_complete() {
    databases(|open| {
        let engine = open(LIMITS);
        let key = insert(&engine, row("a", 100_000));
        let later = unix_now() + 5000;
        engine.touch(key, unix_now() + 1000, Some(later), Reads::one(1000));
        engine.touch(key, unix_now() + 1000, None, Reads::one(2000));
        engine.spend(b"token".to_vec()).unwrap();
        engine.close();
        assert!(engine.delete(key, End::Deleted, 1).is_err(), "a closed engine writes nothing");
        drop(engine);
        let engine = open(LIMITS);
        assert_eq!(expires_at(&engine, "a"), later);
        assert!(engine.is_spent(b"token").unwrap() && !engine.piece(key, 1).unwrap().is_empty());
        let reads = Reads { count: 2, first_at: Some(1000), last_at: Some(2000) };
        let status = engine.status(key, unix_now()).unwrap();
        assert!(matches!(status, Some(Status::Alive { reads: found, .. }) if found == reads), "{status:?}");
    });
}

#[test]
fn a_backup_is_complete() {
    let folder = Folder::new();
    let engine = folder.open(LIMITS);
    let key = insert(&engine, row("a", 100_000));
    let later = unix_now() + 5000;
    engine.touch(key, unix_now() + 1000, Some(later), Reads::one(1000));
    engine.touch(key, unix_now() + 1000, None, Reads::one(2000));
    let leased = insert(&engine, limited("b", 5, 1));
    engine.lease(leased, [1; 32], later, unix_now()).unwrap().unwrap();
    engine.spend(b"token".to_vec()).unwrap();
    assert!(
        engine
            .add_token([1; 32], TokenRecord { name: "a".into(), created_at: 0, expires_at: None }, action("add"))
            .unwrap()
    );
    let removed = insert(&engine, row("c", 5));
    assert!(engine.remove(removed, Some(replacement("c", 5).mark), action("block")).unwrap());
    // Last, so that the new content has the newest key.
    let replaced = insert(&engine, row("d", 5));
    insert(&engine, row("e", 5));
    assert_eq!(engine.replace(replaced, replacement("f", 70_000), unix_now()).unwrap(), Replaced::Done);
    let pieces = engine.find(&name("d")).unwrap().unwrap().pieces;
    engine.close();
    drop(engine);
    let engine = folder.open(LIMITS);
    let copy = folder.0.join("copy.db");
    engine.backup(&copy).unwrap();
    assert!(engine.backup(&copy).is_err(), "nothing is overwritten");
    std::fs::rename(copy, folder.0.join("pastes.db")).unwrap();
    drop(engine);
    let _ = std::fs::remove_file(folder.0.join("pastes.db-wal"));
    let copied = folder.open(LIMITS);
    assert_eq!(expires_at(&copied, "a"), later);
    assert!(copied.is_leased(leased, [1; 32], unix_now()).unwrap());
    match copied.status(key, unix_now()).unwrap() {
        Some(Status::Alive { reads, .. }) => {
            assert_eq!(reads, Reads { count: 2, first_at: Some(1000), last_at: Some(2000) });
        }
        other => panic!("{other:?}"),
    }
    assert!(copied.is_spent(b"token").unwrap() && !copied.piece(key, 1).unwrap().is_empty());
    assert_eq!(copied.find_token(&[1; 32], unix_now()).unwrap().as_deref(), Some("a"));
    assert_eq!(copied.actions().unwrap().len(), 2);
    assert!(matches!(copied.insert(row("c", 5)).unwrap(), Inserted::Blocked));
    assert_eq!(copied.find(&name("d")).unwrap().unwrap().pieces, pieces);
    assert!(!copied.piece(pieces, 1).unwrap().is_empty() && copied.piece(replaced, 0).unwrap().is_empty());
    // No key is given out twice.
    assert_ne!(insert(&copied, row("g", 5)), pieces);
}

#[test]
fn nothing_is_stored_beyond_the_quota() {
    engines_with(Limits { max_db_bytes: 500_000, ..LIMITS }, |engine| {
        insert(engine, row("a", 200_000));
        assert!(matches!(engine.insert(row("b", 400_000)), Err(super::StoreError::Full)));
        let beside_others = NewRow { arriving_bytes: 400_000, ..row("b", 1000) };
        assert!(matches!(engine.insert(beside_others), Err(super::StoreError::Full)));
        assert!(engine.find(&name("b")).unwrap().is_none());
        insert(engine, row("c", 1000));
    });
}

/// Replacement content of `size` bytes.
fn replacement(text: &str, size: usize) -> Replacement {
    let NewRow { content, mark, .. } = row(text, size);
    Replacement {
        sealed_key: vec![2; 60],
        details: b"other details".to_vec(),
        content,
        mark,
        protection: None,
        arriving_bytes: 0,
    }
}

fn action(what: &str) -> Action {
    Action { at: unix_now(), who: "somebody".into(), what: what.into() }
}

#[test]
fn replaced_content_stays_for_its_readers() {
    engines(|engine| {
        let key = insert(engine, row("a", 100_000));
        engine.touch(key, unix_now() + 1000, None, Reads::one(unix_now()));
        let old = engine.find(&name("a")).unwrap().unwrap();
        let first = engine.piece(old.pieces, 0).unwrap();
        assert_eq!(engine.replace(key, replacement("b", 70_000), unix_now()).unwrap(), Replaced::Done);
        let (new, piece) = engine.find_with_piece(&name("a")).unwrap().unwrap();
        assert_eq!((new.key, new.meta.size, new.sealed_key.clone()), (key, 70_000, vec![2; 60]));
        assert!(new.pieces != old.pieces && new.details == b"other details");
        assert!(engine.piece(new.pieces, 0).unwrap() == piece && piece != first);
        assert_eq!(engine.piece(old.pieces, 0).unwrap(), first, "a reader still uses it");
        assert!(
            matches!(engine.status(key, unix_now()).unwrap(), Some(Status::Alive { reads, .. }) if reads.count == 1)
        );
        // Contents share their keys with rows: none is used twice.
        let other = insert(engine, row("c", 10));
        assert!(other != new.pieces && engine.piece(other, 0).unwrap().len() < 100);
        assert!(engine.delete(key, End::Deleted, unix_now()).unwrap());
        assert!(engine.piece(new.pieces, 0).unwrap().is_empty());
        assert_eq!(engine.replace(key, replacement("d", 5), unix_now()).unwrap(), Replaced::Gone);
    });
}

/// An ask without an answer.
fn ask(text: &str) -> NewRow {
    let mut new = limited(text, 0, 1);
    new.meta.protection = Protection::Gate { link_proof: [1; 32], password_proof: None };
    new.meta.answer_proof = Some([2; 32]);
    new
}

#[test]
fn concurrent_answers_have_one_winner_that_is_read_once() {
    engines(|engine| {
        for size in [5_usize, 3_000_000] {
            let text = size.to_string();
            let key = insert(engine, ask(&text));
            let (found, piece) = engine.find_with_piece(&name(&text)).unwrap().unwrap();
            assert!(found.meta.is_unanswered() && piece.is_empty());
            let answer = |number: u8| {
                let new = Replacement { sealed_key: vec![number; 60], ..replacement("b", size) };
                engine.answer(key, new).unwrap()
            };
            let outcomes = std::thread::scope(|scope| {
                let answers: Vec<_> = (0..16).map(|number| scope.spawn(move || answer(number))).collect();
                answers.into_iter().map(|answer| answer.join().unwrap()).collect::<Vec<_>>()
            });
            let winner = outcomes.iter().position(|outcome| *outcome == Answered::Done).unwrap();
            assert_eq!(outcomes.iter().filter(|outcome| **outcome == Answered::Already).count(), 15);
            let row = engine.find(&name(&text)).unwrap().unwrap();
            assert_eq!((row.key, row.meta.size, row.meta.reads_left), (key, size as u64, Some(1)));
            assert_eq!((row.meta.answer_proof, row.sealed_key[0] as usize), (Some([2; 32]), winner));
            let pieces = size.div_ceil(crate::at_rest::PIECE_BYTES) as u64;
            // As a lease reads it, and as a read does.
            assert!((0..pieces).all(|number| !engine.piece(row.pieces, number).unwrap().is_empty()));
            let content = engine.take(key, size as u64, &std::env::temp_dir(), unix_now()).unwrap().unwrap();
            assert!((0..pieces).all(|number| !content.piece(number).unwrap().is_empty()));
            assert!(content.piece(pieces).unwrap().is_empty(), "the losers left nothing");
            assert_eq!(engine.answer(key, replacement("b", size)).unwrap(), Answered::Gone);
            let ended = engine.receipt(mark(&text)).unwrap().unwrap();
            assert_eq!((ended.end, ended.reads.count), (End::Read, 1));
        }
    });
}

#[test]
fn only_asks_are_answered_and_never_with_blocked_content() {
    engines(|engine| {
        let paste = insert(engine, limited("a", 5, 1));
        assert_eq!(engine.answer(paste, replacement("b", 5)).unwrap(), Answered::Already);
        let taken_down = insert(engine, row("c", 5));
        assert!(engine.remove(taken_down, Some(replacement("c", 5).mark), action("block")).unwrap());
        let key = insert(engine, ask("d"));
        assert_eq!(engine.answer(key, replacement("c", 5)).unwrap(), Answered::Blocked);
        assert!(engine.find(&name("d")).unwrap().unwrap().meta.is_unanswered());
        assert_eq!(engine.answer(key, replacement("e", 5)).unwrap(), Answered::Done);
    });
    engines_with(Limits { max_db_bytes: 2_000_000, ..LIMITS }, |engine| {
        let key = insert(engine, ask("a"));
        assert!(matches!(engine.answer(key, replacement("b", 3_000_000)), Err(StoreError::Full)));
        assert!(engine.find(&name("a")).unwrap().unwrap().meta.is_unanswered());
    });
}

#[test]
fn proofs_are_kept_unless_replaced() {
    engines(|engine| {
        let mut new = row("a", 5);
        new.meta.protection = Protection::Gate { link_proof: [1; 32], password_proof: Some([2; 32]) };
        let key = insert(engine, new);
        let proofs = || match engine.find(&name("a")).unwrap().unwrap().meta.protection {
            Protection::Gate { link_proof, password_proof } => (link_proof, password_proof),
            _ => panic!("the gate is gone"),
        };
        engine.replace(key, replacement("b", 5), unix_now()).unwrap();
        assert_eq!(proofs(), ([1; 32], Some([2; 32])));
        let protection = Some(Protection::Gate { link_proof: [3; 32], password_proof: None });
        engine.replace(key, Replacement { protection, ..replacement("c", 5) }, unix_now()).unwrap();
        assert_eq!(proofs(), ([3; 32], None));
    });
}

#[test]
fn reads_do_not_extend_a_fixed_expiry() {
    engines(|engine| {
        let key = insert(engine, row("a", 5));
        engine.touch(key, unix_now() + 1000, Some(unix_now() + 5000), Reads::one(unix_now()));
        let end = unix_now() + 100;
        assert!(engine.set_expiry(key, end).unwrap());
        engine.touch(key, unix_now() + 1000, Some(unix_now() + 9000), Reads::one(unix_now()));
        assert!(matches!(engine.find(&name("a")).unwrap().unwrap().meta.expiry, Expiry::Fixed(at) if at == end));
        assert!(
            matches!(engine.status(key, unix_now()).unwrap(), Some(Status::Alive { expires_at, .. }) if expires_at == end)
        );
        assert!(!engine.set_expiry(RowKey(999), end).unwrap());
    });
}

#[test]
fn tokens_are_found_by_hash_until_they_expire() {
    engines(|engine| {
        let now = unix_now();
        let record = |name: &str, expires_at| TokenRecord { name: name.into(), created_at: now, expires_at };
        assert!(engine.add_token([1; 32], record("a", None), action("add a")).unwrap());
        assert!(engine.add_token([2; 32], record("b", Some(now + 10)), action("add b")).unwrap());
        assert!(!engine.add_token([3; 32], record("a", None), action("add a")).unwrap(), "names are unique");
        assert_eq!(engine.find_token(&[1; 32], now + 10_000).unwrap().as_deref(), Some("a"));
        assert_eq!(engine.find_token(&[2; 32], now + 9).unwrap().as_deref(), Some("b"));
        assert!(
            engine.find_token(&[2; 32], now + 10).unwrap().is_none()
                && engine.find_token(&[3; 32], now).unwrap().is_none()
        );
        assert_eq!(engine.tokens().unwrap(), [record("a", None), record("b", Some(now + 10))]);
        assert!(engine.remove_token("a".into(), action("remove a")).unwrap());
        assert!(!engine.remove_token("a".into(), action("remove a")).unwrap());
        assert!(engine.find_token(&[1; 32], now).unwrap().is_none());
        // Failed actions are not in the log.
        let done: Vec<String> = engine.actions().unwrap().into_iter().map(|action| action.what).collect();
        assert_eq!(done, ["add a", "add b", "remove a"]);
    });
}

#[test]
fn removed_content_can_be_blocked() {
    engines(|engine| {
        let (plain, blocked) = (insert(engine, row("a", 5)), insert(engine, row("b", 5)));
        let mark = row("b", 5).mark;
        assert!(engine.remove(plain, None, action("delete")).unwrap());
        assert!(engine.remove(blocked, Some(mark), action("block")).unwrap());
        assert!(!engine.remove(blocked, Some(mark), action("block")).unwrap());
        for (text, end) in [("a", End::Removed), ("b", End::Removed)] {
            assert_eq!(engine.receipt(self::mark(text)).unwrap().unwrap().end, end);
        }
        assert!(matches!(engine.insert(row("b", 5)).unwrap(), Inserted::Blocked));
        let other = insert(engine, row("c", 5));
        assert_eq!(engine.replace(other, replacement("b", 5), unix_now()).unwrap(), Replaced::Blocked);
        assert!(!engine.unblock([9; 32], action("unblock")).unwrap());
        assert!(engine.unblock(mark, action("unblock")).unwrap());
        insert(engine, row("b", 5));
        assert_eq!(engine.actions().unwrap().len(), 3);
    });
}

#[test]
fn rows_are_listed_newest_first_and_by_owner() {
    engines(|engine| {
        let owned = |text: &str, owner| NewRow { owner, sealed_id: Some(text.as_bytes().to_vec()), ..row(text, 5) };
        for (text, owner) in
            [("a", Some([1; 32])), ("b", None), ("c", Some([1; 32])), ("d", Some([2; 32])), ("e", Some([1; 32]))]
        {
            insert(engine, owned(text, owner));
        }
        let handle = |text: &str| name(text).handle();
        let list = |before, most| engine.list(before, most).unwrap();
        let all = list(None, 10);
        assert_eq!(all.iter().map(|row| row.handle).collect::<Vec<_>>(), ["e", "d", "c", "b", "a"].map(handle));
        assert!(all[0].is_owned && !all[3].is_owned);
        assert_eq!(list(Some(list(None, 2)[1].key), 2)[0].handle, handle("c"));
        let own = engine.owned(&[1; 32], None, 2).unwrap();
        assert_eq!(own.iter().map(|row| row.handle).collect::<Vec<_>>(), ["e", "c"].map(handle));
        assert_eq!(own[0].sealed_id.as_deref(), Some(b"e".as_slice()));
        let rest = engine.owned(&[1; 32], Some(own[1].row.key), 2).unwrap();
        assert_eq!(rest.iter().map(|row| row.handle).collect::<Vec<_>>(), ["a"].map(handle));
        assert_eq!(engine.find_by_handle(handle("b")).unwrap().unwrap().key, all[3].key);
        assert!(engine.find_by_handle(Handle(1)).unwrap().is_none());
    });
}
