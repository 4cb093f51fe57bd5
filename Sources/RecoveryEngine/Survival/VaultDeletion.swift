import BlockReplication
import Foundation
package import VaultStore

/// Takes a vault away for good, with its history: its file, what lies beside it, and its copy in a file at its second place.
package struct VaultDeletion: Sendable {
    package struct Outcome: Sendable, Hashable {
        /// The copy that was removed with it; nil when it was shipped to no file, or another vault lies there.
        package var copy: String?
    }

    let vault: SQLiteVault

    package init(_ vault: SQLiteVault) { self.vault = vault }

    /// Deletes the vault, which cannot be used after that.
    ///
    /// Throws `EngineError` with rule `vault-not-empty` while it holds anything that somebody may still need, and `VaultError`:
    /// `locked` while another process has it open, `superseded` when another copy of it is the vault. Then nothing was changed.
    package func delete() async throws -> Outcome {
        let vault = vault
        var outcome = Outcome()
        try await vault.remove {
            if let refusal = try await vault.identity()?.refusal(vault.path) { throw refusal }
            try await RecoveryEngine.checkIsEmpty(vault)
            outcome.copy = try await ownCopy()
            // First: a copy that outlived its vault would be taken for what is left of one that was lost.
            if let copy = outcome.copy { try Self.remove(copyAt: copy) }
        }
        for trace in VaultShipper.traces { unlink(vault.path + trace) }
        return outcome
    }

    /// The file at its second place, if that is a copy of it and no other vault.
    private func ownCopy() async throws -> String? {
        guard let identity = try await vault.identity(), case .file(let path) = identity.secondPlace,
            let there = try SQLiteVault.identity(ofCopyAt: path), there.id == identity.id
        else { return nil }
        guard there.standing.admits(identity.standing) else {
            throw try await vault.standBack(identity, for: there.epoch, as: there.promotion, path: vault.path)
        }
        return path
    }

    private static func remove(copyAt path: String) throws {
        for ending in ["-wal", "-shm", ".lock", ".part"] { unlink(path + ending) }
        guard unlink(path) == 0 || errno == ENOENT else {
            throw EngineError(
                .failed, "the vault's copy \(path) cannot be removed: \(String(cString: strerror(errno)))",
                hint: "remove it by hand, then give the command again")
        }
    }
}
