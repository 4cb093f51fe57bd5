/// An image to ask the chain of.
package enum ChainTop: Sendable, Hashable {
    /// A recovery point, by generation.
    case point(String)
    /// A boot overlay.
    case boot(epoch: Int, purpose: BootPurpose? = nil)
}

extension PointStore {
    /// All images of one disk from a point or boot overlay down to the last base, newest first, as absolute paths.
    ///
    /// The layers are those that the files themselves name, so that a merge under way makes no difference. What lies beneath an
    /// adopted base is asked of qemu-img.
    package func chain(of top: ChainTop, target: String) async throws -> [ImageLayer] {
        var (layers, external) = try ownChain(try topLayer(top, target: target))
        if let external { layers += try await QemuImg.backingChain(of: external) }
        return layers
    }

    private func topLayer(_ top: ChainTop, target: String) throws -> ImageLayer {
        let missing = ReplicationError(
            .notFound, "there is no image of disk \(target) for \(top)", hint: "choose one that the manifest lists",
            context: ["relationship": manifest.relationship])
        switch top {
        case .point(let generation):
            guard let disk = try requirePoint(generation).disks.first(where: { $0.target == target }) else {
                throw missing
            }
            return ImageLayer(path: directory.path(disk.file), format: disk.format)
        case .boot(let epoch, let purpose):
            let wanted = purpose ?? BootPurpose(epoch: epoch)
            let boot = manifest.boots.first { $0.epoch == epoch && $0.purpose == wanted }
            guard let disk = boot?.disks.first(where: { $0.target == target }) else { throw missing }
            return ImageLayer(path: directory.path(disk.file), format: .qcow2)
        }
    }

    /// Follows our own files' headers, up to the base or to an adopted disk, which is given apart.
    func ownChain(_ top: ImageLayer) throws -> (own: [ImageLayer], external: ImageLayer?) {
        let adopted = Set(manifest.disks.filter(\.base.external).map(\.base.path))
        var layers: [ImageLayer] = []
        var at: ImageLayer? = top
        while let layer = at {
            if adopted.contains(layer.path) { return (layers, layer) }
            guard !layers.contains(layer) else {
                throw ReplicationError(
                    .damaged, "a chain of images comes back to itself", hint: "restore the image from a copy",
                    context: ["path": layer.path])
            }
            layers.append(layer)
            // Only what is known to be qcow2 is read as qcow2: the first bytes of a raw disk are the guest's.
            guard layer.format == .qcow2 else { break }
            let header = try Qcow2Header(reading: ImageFile(reading: layer.path))
            at = header.backing.map { ImageLayer(path: Self.resolve($0.file, beside: layer.path), format: $0.format) }
        }
        return (layers, nil)
    }

    /// The path that a backing file's name means in the header of the image at `path`.
    static func resolve(_ name: String, beside path: String) -> String {
        guard !name.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return name }
        return String(path[...slash]) + name
    }
}
