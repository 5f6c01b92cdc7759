use tempfile::TempDir;

use super::*;
use crate::git::index::index_pack;
use crate::git::stock::Stock;

static GO: AtomicBool = AtomicBool::new(false);

fn check(format: ObjectFormat, packs: &[Vec<u8>], tips: &[ObjectId]) -> Result<Connectivity, ConnectivityError> {
    let directory = TempDir::new().unwrap();
    let index = |pack: &Vec<u8>| index_pack(&pack[..], directory.path(), format, &GO).unwrap().unwrap();
    let packs: Vec<_> = packs.iter().map(index).collect();
    Objects::open(&packs, format)?.check(tips, &GO)
}

/// How many objects git finds behind all references.
fn reachable(stock: &Stock) -> u64 {
    let list = stock.git(&["rev-list", "--objects", "--no-object-names", "--all"], b"");
    list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64
}

#[test]
fn everything_is_reached_as_git_reaches_it() {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let stock = Stock::with_history(format);
        let chain = [stock.pack(&["main~2"]), stock.pack(&["--all", "^main~2"])];
        for packs in [&[stock.pack(&["--all"])][..], &[stock.ref_delta_pack()], &chain] {
            let found = check(format, packs, &stock.references().oids()).unwrap();
            assert_eq!(found.missing_total, 0, "{found:?}");
            assert_eq!(found.reached, reachable(&stock));
        }
    }
}

#[test]
fn what_is_missing_is_named_with_what_names_it() {
    let stock = Stock::with_history(ObjectFormat::Sha1);
    let found = check(ObjectFormat::Sha1, &[stock.pack(&["main", "^main~1"])], &[stock.rev("main")]).unwrap();
    let parent = Missing { oid: stock.rev("main~1"), from: Some(stock.rev("main")) };
    assert!(found.missing.contains(&parent), "{found:?}");
    assert_eq!(found.missing_total, found.missing.len() as u64);

    let unknown: ObjectId = "7".repeat(40).parse().unwrap();
    let wide: ObjectId = "7".repeat(64).parse().unwrap();
    let found = check(ObjectFormat::Sha1, &[stock.pack(&["main"])], &[unknown, wide]).unwrap();
    assert_eq!((found.reached, found.missing_total), (0, 2));
    assert_eq!(found.missing[0], Missing { oid: unknown, from: None });
}

#[test]
fn only_the_first_missing_objects_are_named() {
    let stock = Stock::with_history(ObjectFormat::Sha1);
    let tips: Vec<ObjectId> = (0..50).map(|number| format!("{number:040x}").parse().unwrap()).collect();
    let found = check(ObjectFormat::Sha1, &[stock.pack(&["main"])], &tips).unwrap();
    assert_eq!((found.missing.len(), found.missing_total), (NAMED, 50));
}

#[test]
fn an_object_of_the_wrong_type_is_damage() {
    let stock = Stock::with_history(ObjectFormat::Sha1);
    let inner = stock.rev("main^{tree}");
    let raw = [b"100644 x\0", inner.as_bytes()].concat();
    let tree = stock.git(&["hash-object", "-t", "tree", "--literally", "-w", "--stdin"], &raw);
    let tree: ObjectId = std::str::from_utf8(tree.trim_ascii()).unwrap().parse().unwrap();
    let pack = stock.git(&["pack-objects", "--quiet", "--stdout"], format!("{tree}\n{inner}\n").as_bytes());
    let error = check(ObjectFormat::Sha1, &[pack], &[tree]).unwrap_err();
    let ConnectivityError::WrongKind { oid, from, expected, found } = error else { panic!("{error:?}") };
    assert_eq!((oid, from, expected, found), (inner, tree, "blob", "tree"));
}

#[test]
fn it_can_be_interrupted() {
    let stock = Stock::with_history(ObjectFormat::Sha1);
    let directory = TempDir::new().unwrap();
    let pack = stock.pack(&["--all"]);
    let indexed = index_pack(&pack[..], directory.path(), ObjectFormat::Sha1, &GO).unwrap().unwrap();
    let objects = Objects::open([&indexed], ObjectFormat::Sha1).unwrap();
    let result = objects.check(&[stock.rev("main")], &AtomicBool::new(true));
    assert!(matches!(result, Err(ConnectivityError::Interrupted)), "{result:?}");
}
