//! The layout of a pod's store: which of its files each secret and config is, and how much memory all of them take.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::limits::size;
use super::spec::{ComponentSpec, FileSource, FileSpec, PodSpec};

/// Most memory that the secrets and configs of one pod may take, bytes. The volume of the store holds no more either.
pub const MAX_STORE_BYTES: u64 = 16 << 20;
/// The unit in which a file in memory takes space, bytes.
const PAGE_BYTES: u64 = 4096;
/// The file that is written last: the store that has it is filled.
const COMPLETE: &str = "complete";

/// The files of a store, each distinct one once.
pub struct StoreLayout<'a> {
    /// The first part of the name of each file. Another definition gets other names, so that a manager that restarts
    /// with a changed definition never takes one file for another.
    prefix: String,
    files: Vec<&'a FileSpec>,
    numbers: BTreeMap<FileKey<'a>, usize>,
}

/// Everything in which two entries must be equal to share a file.
type FileKey<'a> = (&'a FileSource, u32, u32, u32);

impl FileSpec {
    fn key(&self) -> FileKey<'_> {
        (&self.source, self.uid, self.gid, self.mode)
    }
}

impl<'a> StoreLayout<'a> {
    /// The layout of the store of this pod.
    pub fn of(pod: &'a PodSpec) -> Self {
        let (mut files, mut numbers) = (Vec::new(), BTreeMap::new());
        let mut hasher = DefaultHasher::new();
        for member in pod.members() {
            for file in &member.files {
                let number = *numbers.entry(file.key()).or_insert_with(|| {
                    files.push(file);
                    files.len() - 1
                });
                // Components see the names: they must tell nothing about the content of a secret.
                let path = match &file.source {
                    FileSource::Path(path) => Some(path),
                    FileSource::Content(_) => None,
                };
                (&member.name, &file.target, number, path, file.uid, file.gid, file.mode).hash(&mut hasher);
            }
        }
        Self { prefix: format!("{:016x}", hasher.finish()), files, numbers }
    }

    /// Each distinct file with its name in the store.
    pub fn files(&self) -> impl Iterator<Item = (String, &'a FileSpec)> {
        self.files.iter().enumerate().map(|(number, file)| (self.numbered(number), *file))
    }

    /// Whether the pod has no secrets and configs.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn numbered(&self, number: usize) -> String {
        format!("{}.{number}", self.prefix)
    }

    /// The name of a file in the store; `None` if the pod does not have this file.
    pub fn name(&self, file: &FileSpec) -> Option<String> {
        self.numbers.get(&file.key()).map(|number| self.numbered(*number))
    }

    /// The name of the file that is written last.
    pub fn complete(&self) -> String {
        format!("{}.{COMPLETE}", self.prefix)
    }
}

/// Memory that a file with this content takes.
pub fn memory_of(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_BYTES).saturating_mul(PAGE_BYTES)
}

/// Describes why the secrets and configs of a pod take too much memory; `None` if they do not. `bytes_of` returns the
/// length of a file, or `None` where it is not known yet: such a file counts nothing.
pub fn excess<'a>(
    members: impl Iterator<Item = &'a ComponentSpec>,
    bytes_of: impl Fn(&FileSource) -> Option<u64>,
) -> Option<String> {
    let (mut all, mut shares) = (BTreeMap::new(), Vec::new());
    for member in members {
        let memory = |file: &FileSpec| memory_of(bytes_of(&file.source).unwrap_or(0));
        let own: BTreeMap<FileKey<'_>, u64> =
            member.files.iter().map(|file| (file.key(), memory(file))).collect();
        if !own.is_empty() {
            let entries = if own.len() == 1 { "file" } else { "files" };
            shares.push(format!("`{}` {} in {} {entries}", member.name, shown(own.values()), own.len()));
        }
        all.extend(own);
    }
    (all.values().sum::<u64>() > MAX_STORE_BYTES).then(|| {
        format!(
            "`secrets` and `configs`: found {} in all, each distinct file once, in whole 4 KiB: {}; valid is at most {} \
             a pod: give entries of the same file the same `uid`, `gid` and `mode`, or mount large files from a volume",
            shown(all.values()),
            shares.join(", "),
            shown([MAX_STORE_BYTES].iter())
        )
    })
}

fn shown<'a>(bytes: impl Iterator<Item = &'a u64>) -> String {
    size(i64::try_from(bytes.sum::<u64>()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const MIB: u64 = 1 << 20;

    fn file(source: &str, target: &str) -> FileSpec {
        FileSpec {
            source: FileSource::Path(source.into()),
            target: target.into(),
            uid: 0,
            gid: 0,
            mode: 0o444,
        }
    }

    fn text(content: &str) -> FileSpec {
        FileSpec { source: FileSource::Content(content.into()), ..file("", "/text") }
    }

    fn pod(members: &[(&str, Vec<FileSpec>)]) -> PodSpec {
        let member = |(name, files): &(&str, Vec<FileSpec>)| ComponentSpec {
            name: (*name).to_owned(),
            files: files.clone(),
            ..ComponentSpec::default()
        };
        PodSpec { components: members.iter().map(member).collect(), ..testing::pod("a") }
    }

    #[test]
    fn entries_with_the_same_source_owner_group_and_mode_share_one_file() {
        let other = |change: fn(&mut FileSpec)| {
            let mut file = file("/s", "/other");
            change(&mut file);
            file
        };
        let pod = pod(&[
            ("a", vec![file("/s", "/1"), file("/s", "/2"), other(|file| file.uid = 1), text("x")]),
            ("b", vec![file("/s", "/3"), other(|file| file.gid = 1), other(|file| file.mode = 0o400)]),
            ("c", vec![text("x"), text("y"), file("/t", "/1")]),
        ]);
        let layout = StoreLayout::of(&pod);
        let numbers = |member: &ComponentSpec| {
            let name = |file| layout.name(file).expect("the pod has it");
            let number = |file| name(file).rsplit('.').next().expect("a name").parse().expect("a number");
            member.files.iter().map(number).collect::<Vec<usize>>()
        };
        let found: Vec<_> = pod.components.iter().map(numbers).collect();
        assert_eq!(found, [vec![0, 0, 1, 2], vec![0, 3, 4], vec![2, 5, 6]]);
        assert_eq!(layout.files.len(), 7);
        assert_eq!(layout.name(&file("/u", "/1")), None);
    }

    #[test]
    fn another_definition_gets_other_names_and_no_name_depends_on_the_content_of_a_secret() {
        let name = |members: &[(&str, Vec<FileSpec>)]| StoreLayout::of(&pod(members)).complete();
        let first = name(&[("a", vec![file("/s", "/1")]), ("b", vec![text("one")])]);
        assert_eq!(name(&[("a", vec![file("/s", "/1")]), ("b", vec![text("two")])]), first);
        for other in [
            [("a", vec![file("/t", "/1")]), ("b", vec![text("one")])],
            [("a", vec![file("/s", "/2")]), ("b", vec![text("one")])],
            [("a", vec![file("/s", "/1")]), ("c", vec![text("one")])],
            [("a", vec![text("one")]), ("b", vec![file("/s", "/1")])],
        ] {
            assert_ne!(name(&other), first, "{other:?}");
        }
    }

    #[test]
    fn excess_counts_each_distinct_file_once_and_in_whole_pages() {
        let many = |count: usize, source: &dyn Fn(usize) -> String| -> Vec<FileSpec> {
            (0..count).map(|number| file(&source(number), &format!("/{number}"))).collect()
        };
        let found = |members: &[(&str, Vec<FileSpec>)], bytes| {
            excess(pod(members).members(), |source| match source {
                FileSource::Path(_) => Some(bytes),
                FileSource::Content(content) => Some(content.len() as u64),
            })
        };
        let same = |_| "/s".to_owned();
        let own = |number| format!("/{number}");
        assert_eq!(
            found(&[("a", many(200, &same)), ("b", many(200, &same))], MIB),
            None,
            "one file of 1 MiB"
        );
        assert_eq!(found(&[("a", many(16, &own))], MIB), None);
        assert_eq!(found(&[("a", many(4096, &own))], 1), None);
        let pages = found(&[("a", many(4097, &own))], 1).expect("it takes a page more");
        assert!(pages.contains("found 16388 KiB in all"), "{pages}");
        assert_eq!(
            found(&[("a", many(16, &own)), ("b", vec![file("/0", "/x"), text("x")])], MIB).expect("too much"),
            "`secrets` and `configs`: found 16388 KiB in all, each distinct file once, in whole 4 KiB: `a` 16 MiB in 16 \
             files, `b` 1028 KiB in 2 files; valid is at most 16 MiB a pod: give entries of the same file the same \
             `uid`, `gid` and `mode`, or mount large files from a volume"
        );
        assert_eq!(excess(pod(&[("a", many(99, &own))]).members(), |_| None), None, "no length is known");
    }
}
