internal import GRDB

/// The versions of the vault's tables: each migration leads from one to the next, and none is ever changed.
struct Schema: Sendable {
    /// SQL of each migration, oldest first; the version is their number.
    var migrations: [String]

    var version: Int { migrations.count }

    /// The names of the tables that a vault cannot be without.
    static let tables: Set<String> = ["object", "event", "lease", "journal"]

    /// Brings a database to this version, each migration in one transaction.
    func migrate(_ database: any DatabaseWriter) throws {
        var migrator = DatabaseMigrator()
        for (index, sql) in migrations.enumerated() {
            migrator.registerMigration("\(index + 1)") { db in
                try db.execute(sql: sql)
                try db.execute(sql: "PRAGMA application_id = \(VaultFile.applicationID)")
                try db.execute(sql: "PRAGMA user_version = \(index + 1)")
            }
        }
        try migrator.migrate(database)
    }

    /// Objects are documents with the few columns that are searched; see docs/decisions/0002-vault-as-documents.md.
    static let current = Schema(migrations: [
        """
        CREATE TABLE object (
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            parent TEXT NOT NULL,
            name TEXT NOT NULL,
            sort_key TEXT NOT NULL,
            open_since INTEGER,
            revision INTEGER NOT NULL,
            body TEXT NOT NULL,
            UNIQUE (kind, id),
            UNIQUE (kind, parent, name)
        );
        CREATE INDEX object_by_parent ON object (kind, parent, sort_key, name, id);
        CREATE INDEX object_by_kind ON object (kind, sort_key, name, id);
        CREATE INDEX object_open ON object (kind, open_since, id) WHERE open_since IS NOT NULL;
        CREATE TABLE event (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            object TEXT,
            body TEXT NOT NULL
        );
        CREATE INDEX event_by_object ON event (object, number);
        CREATE TABLE lease (
            name TEXT NOT NULL PRIMARY KEY,
            holder TEXT,
            epoch INTEGER NOT NULL,
            expires_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        """,
        // What was written since somebody last looked is found without reading everything.
        """
        CREATE TABLE change (number INTEGER NOT NULL);
        INSERT INTO change VALUES (0);
        ALTER TABLE object ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX object_by_change ON object (kind, changed);
        """,
        // What runs did, in the order in which it became durable; a row is a commit, chained to the one before.
        """
        CREATE TABLE journal (
            run TEXT NOT NULL,
            number INTEGER NOT NULL,
            body TEXT NOT NULL,
            chain TEXT NOT NULL,
            PRIMARY KEY (run, number)
        ) WITHOUT ROWID;
        """,
    ])
}
