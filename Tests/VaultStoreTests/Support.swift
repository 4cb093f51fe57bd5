import Foundation
import SiteModel
import TestSupport
import Testing

@testable import VaultStore

/// The vaults that the contract binds.
enum VaultKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case memory, sqlite
    var testDescription: String { rawValue }
}

extension Scratch {
    var vault: String { self("vault.db") }
}

/// A fresh vault of a kind, with the folder that it needs for as long as it is used.
struct Fixture: Vault {
    private let vault: any Vault
    private let scratch: Scratch

    init(_ kind: VaultKind) throws {
        scratch = try Scratch()
        vault =
            switch kind {
            case .memory: MemoryVault()
            case .sqlite: try SQLiteVault.open(path: scratch.vault, create: true)
            }
    }

    func read<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultReader) throws -> Result
    ) async throws -> Result {
        try await vault.read(body)
    }

    @discardableResult
    func write<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultWriter) throws -> Result
    ) async throws -> Result {
        try await vault.write(body)
    }
}

enum Sample {
    static func cloud(_ name: String, server: String = "s1", id: String? = nil) -> Cloud {
        Cloud(id: id ?? "id-\(server)-\(name)", name: name, server: server, hosts: ["h1"])
    }

    static func item(_ number: Int, cloud: String) -> ProtectedItem {
        ProtectedItem(
            id: "\(cloud)-\(number)", name: "vm\(number)", cloud: cloud, pair: "p", relationship: "r\(cloud)\(number)")
    }

    static func job(_ id: String, at time: Int64) -> Job {
        Job(
            id: id, operation: .sync, relationship: "r", arguments: ["point": "latest"], origin: .protected,
            stages: [Stage(name: "copy")], startedAt: Timestamp(milliseconds: time), run: nil)
    }

    static func event(_ text: String, about object: String? = nil) -> Event {
        Event(at: Timestamp(milliseconds: 1), severity: .info, object: object, text: text)
    }
}

extension Vault {
    /// The code with which a write is refused; nil when it is not.
    func refusal(_ body: @escaping @Sendable (any VaultWriter) throws -> Void) async -> VaultError.Code? {
        do {
            try await write(body)
            return nil
        } catch {
            return (error as? VaultError)?.code
        }
    }

    func texts(about object: String? = nil, limit: Int = 1000) async throws -> [String] {
        try await read { try $0.events(about: object, limit: limit).map(\.text) }
    }
}
