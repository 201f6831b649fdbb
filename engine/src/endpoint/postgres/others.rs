//! What is not a table, each with its statement in the server's own words.

use crate::endpoint::postgres::catalog::{OURS, named};
use crate::endpoint::postgres::dialect::Postgres;
use crate::endpoint::postgres::error::Done;
use crate::endpoint::postgres::session::Session;
use crate::model::catalog::Other;

/// Names of an extension's things, for those that are no rows of `pg_class`.
fn own(catalog: &str, number: &str) -> String {
    format!(
        "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x \
         WHERE x.classid = 'pg_catalog.{catalog}'::regclass AND x.objid = {number} \
         AND x.deptype IN ('e', 'i'))"
    )
}

fn queries() -> Vec<(&'static str, String)> {
    let class = "FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
    let quoted = "quote_ident(n.nspname) || '.' || quote_ident(c.relname)";
    let view = |kind: char, word: &str| {
        format!(
            "SELECT n.nspname, c.relname, 'CREATE {word} ' || {quoted} || ' AS ' \
             || pg_catalog.pg_get_viewdef(c.oid) {class} WHERE c.relkind = '{kind}' AND {OURS}"
        )
    };
    vec![
        ("view", view('v', "VIEW")),
        ("materialized_view", view('m', "MATERIALIZED VIEW")),
        (
            "foreign_table",
            format!("SELECT n.nspname, c.relname, '' {class} WHERE c.relkind = 'f' AND {OURS}"),
        ),
        (
            "sequence",
            format!(
                "SELECT n.nspname, c.relname, 'CREATE SEQUENCE ' || {quoted} || ' AS ' \
                 || format_type(s.seqtypid, NULL) || ' INCREMENT BY ' || s.seqincrement \
                 || ' MINVALUE ' || s.seqmin || ' MAXVALUE ' || s.seqmax || ' START ' || s.seqstart \
                 || ' CACHE ' || s.seqcache || CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END \
                 {class} JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid WHERE {OURS} \
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
                 WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid \
                 AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i'))"
            ),
        ),
        (
            "trigger",
            format!(
                "SELECT n.nspname, t.tgname, pg_catalog.pg_get_triggerdef(t.oid) \
                 FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE NOT t.tgisinternal AND NOT c.relispartition AND {OURS}"
            ),
        ),
        (
            "policy",
            format!(
                "SELECT n.nspname, p.polname, coalesce(pg_get_expr(p.polqual, p.polrelid), '') \
                 FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {OURS}"
            ),
        ),
    ]
}

/// The queries for what tables are beside their rows.
fn beside() -> Vec<(&'static str, String)> {
    let class = "FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
    vec![
        (
            "inheritance",
            format!(
                "SELECT n.nspname, c.relname, 'INHERITS ' || i.inhparent::pg_catalog.regclass \
                 FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind = 'r' AND NOT c.relispartition AND {OURS}"
            ),
        ),
        (
            "partition",
            format!(
                "SELECT n.nspname, c.relname, pg_catalog.pg_get_expr(c.relpartbound, c.oid) {class} \
                 WHERE c.relkind IN ('r', 'p') AND c.relispartition AND {OURS}"
            ),
        ),
        (
            "row_security",
            format!(
                "SELECT n.nspname, c.relname, 'ENABLE ROW LEVEL SECURITY' {class} \
                 WHERE c.relrowsecurity AND NOT c.relispartition AND {OURS}"
            ),
        ),
        (
            "collation",
            format!(
                "SELECT n.nspname, c.relname || '.' || a.attname, \
                 'COLLATE ' || quote_ident(ln.nspname) || '.' || quote_ident(l.collname) \
                 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
                 JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
                 JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace \
                 JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') \
                 AND NOT c.relispartition AND a.attcollation NOT IN (0, t.typcollation) AND {OURS}"
            ),
        ),
        (
            "rule",
            format!(
                "SELECT n.nspname, r.rulename, pg_catalog.pg_get_ruledef(r.oid) \
                 FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE r.rulename <> '_RETURN' AND {OURS}"
            ),
        ),
    ]
}

/// The queries for what is made of no table.
fn apart() -> Vec<(&'static str, String)> {
    vec![
        (
            "function",
            format!(
                "SELECT n.nspname, p.proname, CASE WHEN p.prokind IN ('f', 'p') \
                 THEN pg_catalog.pg_get_functiondef(p.oid) ELSE '' END FROM pg_catalog.pg_proc p \
                 JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE {}",
                own("pg_proc", "p.oid")
            ),
        ),
        (
            "type",
            format!(
                "SELECT n.nspname, t.typname, CASE t.typtype WHEN 'e' THEN 'CREATE TYPE ' \
                 || format_type(t.oid, NULL) || ' AS ENUM (' || (SELECT string_agg(\
                 quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) \
                 FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) || ')' \
                 WHEN 'd' THEN 'CREATE DOMAIN ' || format_type(t.oid, NULL) || ' AS ' \
                 || format_type(t.typbasetype, t.typtypmod) \
                 || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END \
                 || coalesce((SELECT string_agg(' ' || pg_get_constraintdef(o.oid), '') \
                 FROM pg_catalog.pg_constraint o WHERE o.contypid = t.oid AND o.contype = 'c'), '') \
                 ELSE '' END FROM pg_catalog.pg_type t \
                 JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
                 LEFT JOIN pg_catalog.pg_class k ON k.oid = t.typrelid \
                 WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND k.relkind = 'c')) AND {}",
                own("pg_type", "t.oid")
            ),
        ),
        (
            "statistics",
            "SELECT n.nspname, s.stxname, pg_catalog.pg_get_statisticsobjdef(s.oid) \
             FROM pg_catalog.pg_statistic_ext s \
             JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace"
                .to_owned(),
        ),
        ("publication", "SELECT '', pubname, '' FROM pg_catalog.pg_publication".to_owned()),
        ("event_trigger", "SELECT '', evtname, '' FROM pg_catalog.pg_event_trigger".to_owned()),
        (
            "extension",
            "SELECT n.nspname, e.extname, 'CREATE EXTENSION ' || quote_ident(e.extname) \
             FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace \
             WHERE e.extname <> 'plpgsql'"
                .to_owned(),
        ),
    ]
}

/// Reads all of them.
pub(super) fn read(session: &mut Session, dialect: &Postgres) -> Done<Vec<Other>> {
    let mut found = Vec::new();
    for (what, sql) in queries().into_iter().chain(beside()).chain(apart()) {
        for row in session.query(&format!("{sql} ORDER BY 1, 2, 3"))? {
            let name = named(dialect, row.text(0), row.text(1));
            found.push(Other { what, name, definition: row.text(2) });
        }
    }
    Ok(found)
}
