import RecoveryEngine
import SiteModel
import VaultStore

extension ScriptContext {
    /// The names that the vault holds, for completion; no host is asked.
    func vaultNames() async -> [VaultName: [String]] {
        let names = try? await engine.vault.read { vault -> [VaultName: [String]] in
            [
                .host: try vault.objects(Host.self).map(\.value.name),
                .server: try vault.objects(Server.self).map(\.value.name),
                .policy: try vault.objects(Policy.self).map(\.value.name),
                .cloud: try vault.objects(Cloud.self).map(\.value.name),
                .vm: try vault.objects(Relationship.self).map(\.value.name),
            ]
        }
        return (names ?? [:]).mapValues { Set($0).sorted() }
    }
}
