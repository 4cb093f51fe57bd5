internal import Synchronization

/// A vault in memory, for simulation and tests: the same refusals, revisions and epochs as the one on disk, nothing
/// kept.
///
/// Its calls never wait for anything outside the process, so a simulated run stays on its own executor. Values are kept as
/// they are: writing a document and reading it again takes longer than all else that a simulated cycle does. With
/// `keepsDocuments` they are written and read all the same, as they would be on disk.
package final class MemoryVault: Vault {
    private let rows: Mutex<MemoryRows>

    package init(keepsDocuments: Bool = false) {
        rows = Mutex(MemoryRows(keepsValues: !keepsDocuments))
    }

    package func read<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultReader) throws -> Result
    ) async throws -> Result {
        try rows.withLock { try body(ReadTransaction(rows: $0)) }
    }

    @discardableResult
    package func write<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultWriter) throws -> Result
    ) async throws -> Result {
        try rows.withLock { rows in
            rows.begin()
            do {
                return try body(WriteTransaction(rows: rows))
            } catch {
                rows.rollBack()
                throw error
            }
        }
    }
}
