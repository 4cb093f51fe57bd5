import SiteModel
import VaultStore

/// The part of a vault that is rebuilt around the VMs: what several manifests tell of the same object is told once.
struct RebuiltSite {
    let vault: any VaultWriter

    /// Inserts what a manifest tells and no other has told yet; its hosts are there already.
    func take(in site: SiteRecord) throws {
        try insertMissing(site.policy.map { [$0] } ?? [])
        try insertMissing(site.servers)
        try insertMissing(site.clusters ?? [])
        try insertMissing(site.clouds)
        try insertMissing(site.pair.map { [$0] } ?? [])
        try insertMissing(site.mappings)
        try insertMissing(site.logicalNetworks ?? [])
        try insertMissing(site.vmNetworks ?? [])
        try insertMissing(site.storageClasses ?? [])
        try insertMissing(site.storageMappings ?? [])
        try insertMissing(site.item.map { [$0] } ?? [])
    }

    /// Takes away references to clouds that no manifest told of, because nothing was protected through them.
    func settle() throws {
        let clouds = Set(try vault.objects(Cloud.self).map(\.value.id))
        for var network in try vault.objects(LogicalNetwork.self) {
            let known = network.value.clouds.filter(clouds.contains)
            guard known != network.value.clouds else { continue }
            network.value.clouds = known
            try vault.update(network)
        }
    }

    private func insertMissing<Object: SiteObject>(_ objects: [Object]) throws {
        for object in objects where try vault.object(Object.self, id: object.id) == nil { try vault.insert(object) }
    }
}
