use super::*;

#[test]
fn dump() {
    let dir = std::env::var("CTL").unwrap();
    let mut names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    for path in names {
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        let (preinst, postinst, triggers) = (read("preinst"), read("postinst"), read("triggers"));
        let package = path.file_name().unwrap().to_str().unwrap();
        for scripts in [
            Scripts { preinst: &preinst, ..Default::default() },
            Scripts { postinst: &postinst, ..Default::default() },
            Scripts { triggers: &triggers, ..Default::default() },
        ] {
            match cover(package, scripts) {
                Ok(effects) if effects.is_empty() => {}
                Ok(effects) => println!("=== {package}: {effects:?}"),
                Err(u) => {
                    println!("=== {package} {} {}", u.script, &u.digest.get(..16).unwrap_or(""));
                    for (n, t) in u.lines {
                        println!("{n:4} {t}");
                    }
                }
            }
        }
    }
}
