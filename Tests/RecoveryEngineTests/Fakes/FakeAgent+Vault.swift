import BlockReplication

extension FakeAgent {
    // MARK: The vault

    func attend(_ vault: VaultStanding) async throws {
        try fuse.checkAlive()
        try world.change { state in
            try state.agentHost(host).vaults[vault.id]?.admit(vault)
            state.hosts[host]?.vaults[vault.id] = vault
        }
    }

    func keepVault(_ part: VaultPart) async throws {
        try await attend(part.vault)
        try world.change { state in
            var draft = part.offset == 0 ? [] : state.hosts[host]?.vaultDraft ?? []
            guard draft.count == Int(part.offset) else {
                throw ReplicationError(.protocolViolation, "a part is missing", hint: "ship it from its start")
            }
            draft += part.data
            state.hosts[host]?.vaultDraft = draft
            if part.isLast { state.hosts[host]?.vaultCopies[part.vault.id] = draft }
        }
    }
}
