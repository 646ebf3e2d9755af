//! What every engine has to do, whichever it is: one suite of its operations.
//!
//! Invariant: a test here knows an engine by [`Engine`] alone. To hold another engine to it, open it in [`engines`].

use super::engine::Engine;
use super::model::{Handle, Inserted, Meta, Name, NewRow, RowKey};
use super::sqlite::Sqlite;
use super::{Limits, Location, Role};
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
};

/// A folder that is removed on drop.
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
    let folder = Folder::new();
    test(&folder.open(LIMITS));
    let memory = Sqlite::open(&Location::memory().unwrap(), Path::new(""), LIMITS, Role::Server).unwrap().0;
    test(&Engine::Sqlite(memory));
}

fn name(text: &str) -> Name {
    Name(sha256(text.as_bytes()))
}

/// A row of this name, with a content of so many bytes.
fn row(text: &str, size: usize) -> NewRow {
    let folder = std::env::temp_dir();
    let mut spool = Spool::new(&folder, &SpoolRoom::of(u64::MAX), false).unwrap();
    spool.push(&vec![b'x'; size]).unwrap();
    let meta = Meta {
        size: size as u64,
        created_at: unix_now(),
        expiry: Expiry::Sliding(unix_now() + 1000),
        burn: false,
        password: None,
        token_hash: [7; 32],
    };
    NewRow {
        name: name(text),
        meta,
        owner: None,
        sealed_key: vec![1; 60],
        details: b"details".to_vec(),
        content: Arc::new(spool.finish().unwrap()),
        token: None,
        submission: None,
        arriving_bytes: 0,
    }
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
fn a_row_comes_back_as_it_went_in() {
    engines(|engine| {
        engine.health().unwrap();
        let mut new = row("a", 200_000);
        new.meta.burn = true;
        new.meta.password = Some(PasswordHash::new(b"p", 1).unwrap());
        new.owner = Some([9; 32]);
        let (expiry, content) = (new.meta.expiry, Arc::clone(&new.content));
        let key = insert(engine, new);
        assert!(engine.find(&name("b")).unwrap().is_none());
        let (found, first) = engine.find_with_piece(&name("a")).unwrap().unwrap();
        assert_eq!((found.key, found.meta.size, found.meta.expiry, found.meta.burn), (key, 200_000, expiry, true));
        assert!(found.meta.password.unwrap().verify(b"p"));
        assert_eq!((found.owner, found.meta.token_hash), (Some([9; 32]), [7; 32]));
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
fn a_name_is_taken_once_and_what_was_refused_changed_nothing() {
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
fn names_that_share_a_handle_are_told_apart() {
    engines(|engine| {
        insert(engine, row("a", 5));
        let mut other = name("a");
        other.0[31] ^= 1;
        assert_eq!(other.handle(), name("a").handle());
        assert!(engine.find(&other).unwrap().is_none() && engine.find_with_piece(&other).unwrap().is_none());
        // The handle has to be one row's alone: operators name pastes by it.
        assert!(matches!(engine.insert(NewRow { name: other, ..row("b", 5) }).unwrap(), Inserted::NameTaken));
    });
}

#[test]
fn a_token_is_spent_with_its_row_or_alone_and_once() {
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
fn exactly_one_of_many_takes_a_row() {
    engines(|engine| {
        for size in [5, 3_000_000] {
            let text = size.to_string();
            let key = insert(engine, row(&text, size));
            let taken = std::thread::scope(|scope| {
                let take = || engine.take(key, size as u64, &std::env::temp_dir()).unwrap();
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
fn what_is_deleted_is_gone_and_its_key_is_not_used_again() {
    engines(|engine| {
        let first = insert(engine, row("a", 100_000));
        assert!(engine.delete(first).unwrap() && !engine.delete(first).unwrap());
        assert!(engine.find(&name("a")).unwrap().is_none());
        assert!((0..2).all(|number| engine.piece(first, number).unwrap().is_empty()));
        assert_ne!(insert(engine, row("a", 5)), first);
    });
}

#[test]
fn a_touch_moves_an_expiry_on_and_never_back() {
    engines(|engine| {
        let key = insert(engine, row("a", 5));
        let later = unix_now() + 5000;
        engine.touch(key, later);
        engine.touch(key, later - 100);
        assert_eq!(expires_at(engine, "a"), later);
    });
}

#[test]
fn a_client_is_charged_for_its_tries_alone() {
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
fn a_setting_is_made_once() {
    engines(|engine| {
        assert_eq!(engine.setting("x", vec![1]).unwrap(), [1]);
        assert_eq!(engine.setting("x", vec![2]).unwrap(), [1]);
    });
}

#[test]
fn figures_and_purge() {
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
fn what_is_closed_in_order_comes_back_whole() {
    let folder = Folder::new();
    let engine = folder.open(LIMITS);
    let key = insert(&engine, row("a", 100_000));
    let later = unix_now() + 5000;
    engine.touch(key, later);
    engine.spend(b"token".to_vec()).unwrap();
    engine.close();
    assert!(engine.delete(key).is_err(), "nothing is written any more");
    drop(engine);
    let engine = folder.open(LIMITS);
    assert_eq!(expires_at(&engine, "a"), later);
    assert!(engine.is_spent(b"token").unwrap() && !engine.piece(key, 1).unwrap().is_empty());
    let copy = folder.0.join("copy.db");
    engine.backup(&copy).unwrap();
    assert!(engine.backup(&copy).is_err(), "nothing is overwritten");
    std::fs::rename(copy, folder.0.join("pastes.db")).unwrap();
    drop(engine);
    let _ = std::fs::remove_file(folder.0.join("pastes.db-wal"));
    let copied = folder.open(LIMITS);
    assert_eq!(expires_at(&copied, "a"), later);
    assert!(copied.is_spent(b"token").unwrap() && !copied.piece(key, 1).unwrap().is_empty());
}

#[test]
fn past_the_quota_nothing_is_stored() {
    let folder = Folder::new();
    let engine = folder.open(Limits { max_db_bytes: 500_000, ..LIMITS });
    insert(&engine, row("a", 200_000));
    assert!(matches!(engine.insert(row("b", 400_000)), Err(super::StoreError::Full)));
    let beside_others = NewRow { arriving_bytes: 400_000, ..row("b", 1000) };
    assert!(matches!(engine.insert(beside_others), Err(super::StoreError::Full)));
    assert!(engine.find(&name("b")).unwrap().is_none());
    insert(&engine, row("c", 1000));
}
