import SiteModel

extension AgentService {
    package func createBootImages(
        relationship: String, generation: String, epoch: Int
    ) async throws -> [BootImage] {
        try await gate.pass(relationship) {
            let store = try await stores.required(relationship)
            let paths = try await store.bootOverlay(generation: generation, epoch: epoch)
            var images: [BootImage] = []
            for target in paths.keys.sorted() {
                let chain = try await store.chain(of: .boot(epoch: epoch), target: target)
                let point = await store.manifest.point(generation)
                let size = await point?.disks.first { $0.target == target }.flatMap(store.manifest.size)
                images.append(BootImage(target: target, chain: chain.map { DiskImage($0) }, size: size))
            }
            return images
        }
    }

    package func discardBootImages(relationship: String, epoch: Int) async throws {
        try await gate.pass(relationship) {
            removeSeed(relationship: relationship, epoch: epoch)
            guard let store = try await stores.existing(relationship) else { return }
            try await store.discardBoot(epoch: epoch)
        }
    }

    package func adoptDisks(relationship: String, vm: VMIdentity, disks: [AdoptedDisk]) async throws {
        try await gate.pass(relationship) {
            if let point = incoming[relationship] {
                await Self.end(point, ReplicationError.replaced)
                incoming.remove(point)
            }
            let record = try records.read(relationship)
            let store = try await stores.orNew(
                Manifest(
                    relationship: relationship, vmName: vm.name, vmUUID: vm.uuid, epoch: record?.epoch ?? 0,
                    owner: record?.owner ?? ""))
            let epoch = max(record?.epoch ?? 0, await store.manifest.epoch)
            try await store.adoptExternalBase(try disks.map(Self.externalDisk), epoch: epoch)
        }
    }

    package func settleDisks(relationship: String, disks: [AdoptedDisk]) async throws {
        try await gate.pass(relationship) {
            guard let store = try await stores.existing(relationship) else { return }
            try await store.settle(try disks.map(Self.externalDisk))
        }
    }

    private static func externalDisk(_ disk: AdoptedDisk) throws -> ExternalDisk {
        guard let format = ImageFormat(rawValue: disk.image.format) else {
            throw ReplicationError(
                .unsupported, "disk \(disk.target) is of format \(disk.image.format)",
                hint: "convert the disk to qcow2 or raw")
        }
        return ExternalDisk(target: disk.target, path: disk.image.path, format: format, size: disk.size)
    }
}
