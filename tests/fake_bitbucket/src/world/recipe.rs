//! Describes a repository before it is made.

/// Reference names that are legal and that careless programs get wrong.
const ODD_NAMES: [&[u8]; 14] = [
    b"refs/heads/-o",
    b"refs/heads/$(id)",
    b"refs/heads/a;id",
    b"refs/heads/a|b&c",
    b"refs/heads/issue#12",
    b"refs/heads/50%25",
    b"refs/heads/it's-\"quoted\"",
    b"refs/heads/user@host",
    "refs/heads/gr\u{f6}\u{df}e/\u{65e5}\u{672c}".as_bytes(),
    "refs/heads/evil\u{202e}txt.exe".as_bytes(),
    "refs/heads/\u{1f980}".as_bytes(),
    b"refs/heads/caf\xe9",
    b"refs/tags/-rf",
    b"refs/tags/refs/heads/main",
];

/// What a repository consists of. Every method adds to it; the order does not matter.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub(super) seed: u64,
    pub(super) commits: usize,
    pub(super) files: usize,
    pub(super) file_size: usize,
    pub(super) merges: usize,
    pub(super) bulk: Option<Bulk>,
    pub(super) default_branch: String,
    pub(super) head: Head,
    pub(super) references: Vec<Vec<u8>>,
    pub(super) pull_requests: Vec<PullRequest>,
    pub(super) tags: Vec<(TagOf, Vec<u8>)>,
    pub(super) binary: bool,
    pub(super) special_files: bool,
    pub(super) sha256: bool,
    pub(super) shallow: Option<u32>,
    pub(super) empty: bool,
    pub(super) archived: bool,
}

/// Many blobs that do not compress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bulk {
    pub(super) blobs: usize,
    pub(super) bytes: u64,
}

/// Where HEAD points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    DefaultBranch,
    Unborn(String),
    Detached,
}

/// A pull request, in terms of references.
#[derive(Clone, Copy, Debug)]
pub(super) struct PullRequest {
    pub(super) number: u32,
    pub(super) merge: bool,
}

/// What an annotated tag points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagOf {
    Commit,
    Tag,
    Blob,
    Tree,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            seed: 1,
            commits: 10,
            files: 5,
            file_size: 400,
            merges: 0,
            bulk: None,
            default_branch: "main".to_owned(),
            head: Head::DefaultBranch,
            references: Vec::new(),
            pull_requests: Vec::new(),
            tags: Vec::new(),
            binary: false,
            special_files: false,
            sha256: false,
            shallow: None,
            empty: false,
            archived: false,
        }
    }
}

impl Recipe {
    /// Makes the content differ from that of other seeds.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The number of commits on the default branch, at least one.
    #[must_use]
    pub fn commits(mut self, count: usize) -> Self {
        self.commits = count.max(1);
        self
    }

    /// The number of text files, at least one.
    #[must_use]
    pub fn files(mut self, count: usize) -> Self {
        self.files = count.max(1);
        self
    }

    /// The size of each text file in bytes, roughly.
    #[must_use]
    pub fn file_size(mut self, bytes: usize) -> Self {
        self.file_size = bytes;
        self
    }

    /// Merges this many side branches into the default branch.
    #[must_use]
    pub fn merges(mut self, count: usize) -> Self {
        self.merges = count;
        self
    }

    /// Adds `blobs` incompressible blobs of `bytes` bytes altogether: the pack has about that size.
    ///
    /// Trees and commits come on top, some percent more objects.
    #[must_use]
    pub fn bulk(mut self, blobs: usize, bytes: u64) -> Self {
        self.bulk = Some(Bulk { blobs, bytes });
        self
    }

    /// Names the default branch (without `refs/heads/`); `main` otherwise.
    #[must_use]
    pub fn default_branch(mut self, name: &str) -> Self {
        name.clone_into(&mut self.default_branch);
        self
    }

    /// A branch with one commit of its own; the name is without `refs/heads/`.
    #[must_use]
    pub fn branch(self, name: impl AsRef<[u8]>) -> Self {
        let full = [b"refs/heads/".as_slice(), name.as_ref()].concat();
        self.reference(full)
    }

    /// Branches `topic/1` and so on, each with one commit of its own.
    #[must_use]
    pub fn branches(mut self, count: usize) -> Self {
        for number in 1..=count {
            self = self.branch(format!("topic/{number}"));
        }
        self
    }

    /// Any reference by its full name, with one commit of its own.
    #[must_use]
    pub fn reference(mut self, full_name: impl AsRef<[u8]>) -> Self {
        self.references.push(full_name.as_ref().to_vec());
        self
    }

    /// References outside of branches, tags and pull requests: notes and two namespaces of their own.
    #[must_use]
    pub fn unusual_namespaces(self) -> Self {
        self.reference("refs/notes/commits").reference("refs/custom/x").reference("refs/environments/prod")
    }

    /// References with legal but odd names: options, shell text, bidi marks, not UTF-8, 200 characters.
    #[must_use]
    pub fn odd_names(mut self) -> Self {
        for name in ODD_NAMES {
            self = self.reference(name);
        }
        self.branch("x".repeat(200))
    }

    /// `refs/pull-requests/N/from` with a commit that no branch has.
    #[must_use]
    pub fn pull_request(mut self, number: u32) -> Self {
        let merge = false;
        self.pull_requests.push(PullRequest { number, merge });
        self
    }

    /// Like [`Recipe::pull_request`], with `refs/pull-requests/N/merge` as well.
    #[must_use]
    pub fn pull_request_with_merge(mut self, number: u32) -> Self {
        let merge = true;
        self.pull_requests.push(PullRequest { number, merge });
        self
    }

    /// An annotated tag of the newest commit; names of tags are without `refs/tags/`.
    #[must_use]
    pub fn tag(self, name: impl AsRef<[u8]>) -> Self {
        self.tag_of(TagOf::Commit, name.as_ref())
    }

    /// A tag that is just a reference to a commit.
    #[must_use]
    pub fn lightweight_tag(self, name: impl AsRef<[u8]>) -> Self {
        let full = [b"refs/tags/".as_slice(), name.as_ref()].concat();
        self.reference(full)
    }

    /// A tag of an annotated tag, which is not referenced otherwise.
    #[must_use]
    pub fn nested_tag(self, name: impl AsRef<[u8]>) -> Self {
        self.tag_of(TagOf::Tag, name.as_ref())
    }

    /// An annotated tag of a blob that no commit has.
    #[must_use]
    pub fn blob_tag(self, name: impl AsRef<[u8]>) -> Self {
        self.tag_of(TagOf::Blob, name.as_ref())
    }

    /// An annotated tag of the tree of the newest commit.
    #[must_use]
    pub fn tree_tag(self, name: impl AsRef<[u8]>) -> Self {
        self.tag_of(TagOf::Tree, name.as_ref())
    }

    /// Adds binary files.
    #[must_use]
    pub fn binary_files(mut self) -> Self {
        self.binary = true;
        self
    }

    /// Adds a symbolic link, a dangling one, an executable file and file names outside ASCII.
    #[must_use]
    pub fn special_files(mut self) -> Self {
        self.special_files = true;
        self
    }

    /// Object ids of 32 bytes.
    #[must_use]
    pub fn sha256(mut self) -> Self {
        self.sha256 = true;
        self
    }

    /// No commit and no reference; HEAD names the default branch.
    #[must_use]
    pub fn empty(mut self) -> Self {
        self.empty = true;
        self
    }

    /// HEAD names a branch that does not exist, while others do.
    #[must_use]
    pub fn unborn_head(mut self, branch: &str) -> Self {
        self.head = Head::Unborn(branch.to_owned());
        self
    }

    /// HEAD is the id of a commit.
    #[must_use]
    pub fn detached_head(mut self) -> Self {
        self.head = Head::Detached;
        self
    }

    /// Cuts the history off after this many commits, as a server with a shallow repository has it.
    #[must_use]
    pub fn shallow(mut self, depth: u32) -> Self {
        self.shallow = Some(depth.max(1));
        self
    }

    /// Marked as archived.
    #[must_use]
    pub fn archived(mut self) -> Self {
        self.archived = true;
        self
    }

    /// Everything that one repository can have at once: merges, all kinds of tags, pull requests, odd names.
    #[must_use]
    pub fn everything(self) -> Self {
        self.merges(2)
            .branches(3)
            .tag("v1.0")
            .lightweight_tag("light")
            .nested_tag("nested")
            .blob_tag("of-blob")
            .tree_tag("of-tree")
            .pull_request(1)
            .pull_request_with_merge(2)
            .unusual_namespaces()
            .odd_names()
            .binary_files()
            .special_files()
    }

    fn tag_of(mut self, target: TagOf, name: &[u8]) -> Self {
        self.tags.push((target, name.to_vec()));
        self
    }
}
