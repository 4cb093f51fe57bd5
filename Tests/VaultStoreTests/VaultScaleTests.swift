import Foundation
import GRDB
import SiteModel
import TestSupport
import Testing

@testable import VaultStore

@Suite("A vault with much in it")
struct VaultScaleTests {
    @Test(
        "Every search goes through an index and needs no sorting",
        arguments: [
            "SELECT id, revision, body FROM object WHERE kind = 'x' AND id = 'y'",
            "SELECT id, revision, body FROM object WHERE kind = 'x' AND parent = 'y' AND name = 'z'",
            "SELECT id, revision, body FROM object WHERE kind = 'x' ORDER BY sort_key, name, id",
            "SELECT id, revision, body FROM object WHERE kind = 'x' AND parent = 'y' ORDER BY sort_key, name, id",
            "SELECT id, revision, body FROM object WHERE kind = 'x' AND open_since IS NOT NULL ORDER BY open_since, id",
            "SELECT DISTINCT parent FROM object WHERE kind = 'x' ORDER BY parent",
            "SELECT number, body FROM event WHERE number > 7 ORDER BY number LIMIT 10",
            "DELETE FROM event WHERE number = 7",
            "SELECT body FROM event WHERE object = 'x' ORDER BY number DESC LIMIT 10",
            "SELECT holder, epoch, expires_at FROM lease WHERE name = 'x'",
        ])
    func queryPlans(sql: String) async throws {
        let scratch = try Scratch()
        let vault = try SQLiteVault.open(path: scratch.vault, create: true)
        let plan = try await vault.onWriter { db in
            try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN " + sql).map { $0["detail"] as String }
        }
        #expect(plan.count == 1, "\(plan)")
        #expect(plan.first?.hasPrefix("SEARCH") == true, "\(plan)")
    }

    @Test("One cloud of 1,000 among ten is listed whole and in natural order")
    func listing() async throws {
        let scratch = try Scratch()
        let vault = try SQLiteVault.open(path: scratch.vault, create: true)
        try await vault.write { writer throws in
            for cloud in 0..<10 {
                for number in 0..<1000 { try writer.insert(Sample.item(number, cloud: "c\(cloud)")) }
            }
        }
        let names = try await vault.read { try $0.objects(ProtectedItem.self, parent: "c4").map(\.name) }
        #expect(names == (0..<1000).map { "vm\($0)" })
    }
}
