package import VaultStore

/// A vault as one engine of a world sees it: when the engine has died, nothing comes through any more.
package struct MortalVault: Vault {
    let base: any Vault
    let life: EngineLife

    package init(_ base: any Vault, life: EngineLife) {
        self.base = base
        self.life = life
    }

    package func read<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultReader) throws -> Result
    ) async throws -> Result {
        if life.isOver { throw EngineDied() }
        return try await base.read(body)
    }

    @discardableResult
    package func write<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultWriter) throws -> Result
    ) async throws -> Result {
        try life.begin()
        let result = try await base.write(body)
        try life.hear()
        return result
    }
}
