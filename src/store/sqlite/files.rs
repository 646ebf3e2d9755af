//! Checks that the database's files are still those that were opened.
//!
//! Invariant: nothing is acknowledged after they were removed or replaced: SQLite would keep writing to unlinked files,
//! whose content is lost when the process ends; without the pepper, the next start could not decrypt them. Must never
//! open or change them.

use super::StoreError;
use super::location::Location;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The identities of the files when the database was opened; none in memory.
#[derive(Clone)]
pub(super) struct Files(Vec<(PathBuf, Identity)>);

/// Device and inode.
type Identity = (u64, u64);

impl Files {
    /// Records the database, its WAL and its pepper.
    pub(super) fn note(location: &Location, pepper_file: &Path) -> io::Result<Self> {
        let Location::File(path) = location else { return Ok(Self(Vec::new())) };
        let files = [path.clone(), location.wal_path(), pepper_file.into()];
        files
            .into_iter()
            .map(|path| identity(&path).map(|identity| (path, identity)))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// # Errors
    /// A line for the operator when one of them has been removed or replaced.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let is_same = |(path, noted): &&(PathBuf, Identity)| identity(path).is_ok_and(|now| now == *noted);
        match self.0.iter().find(|file| !is_same(file)) {
            None => Ok(()),
            Some((path, _)) => Err(StoreError::Failed(format!(
                "{} was removed or replaced while the server was running; put it back, or restart to use what is there",
                path.display()
            ))),
        }
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    path.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_detected() {
        let folder = std::env::temp_dir().join(format!("flaskpaste-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let location = Location::File(folder.join("pastes.db"));
        std::fs::write(folder.join("pastes.db"), "x").unwrap();
        let pepper = folder.join("pepper");
        std::fs::write(&pepper, "x").unwrap();
        assert!(Files::note(&location, &pepper).is_err(), "there is no WAL");
        std::fs::write(folder.join("pastes.db-wal"), "x").unwrap();
        let files = Files::note(&location, &pepper).unwrap();
        files.check().unwrap();
        for name in ["pastes.db", "pastes.db-wal", "pepper"] {
            std::fs::rename(folder.join(name), folder.join("aside")).unwrap();
            assert!(files.check().unwrap_err().to_string().contains(name));
            std::fs::write(folder.join(name), "x").unwrap();
            assert!(files.check().is_err());
            std::fs::rename(folder.join("aside"), folder.join(name)).unwrap();
            files.check().unwrap();
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(files.check().is_err());
    }
}
