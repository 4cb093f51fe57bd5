extension SourceDisk {
    /// Opens the disk where the request says, and refuses one of another size.
    func open(_ interrupt: Interrupt) throws -> any ExtentSource {
        let source: any ExtentSource
        switch from {
        case .export(let socket, let name):
            source = try NBDSource(socket: socket, export: name, interrupt: interrupt)
        case .image(let image):
            var bitmap: String?
            if let leg {
                bitmap = leg.frontier > 0 && leg.isTracked ? leg.bitmap : nil
            } else if case .changed(let named, _) = extents {
                guard let named else {
                    throw ReplicationError(
                        .invalidArgument, "no bitmap is named for the stopped disk \(target)",
                        hint: "name the persistent bitmap, or compare by hash")
                }
                bitmap = named
            }
            source = try openImage(image, bitmap: bitmap, interrupt: interrupt)
        }
        guard source.size == size else {
            source.close()
            throw ReplicationError(
                .invalidArgument, "disk \(target) has \(source.size) bytes, not \(size) as asked for",
                hint: "a disk that was resized needs a new first copy: stop its replication and protect the VM again",
                context: ["disk": target])
        }
        return source
    }

    /// The extents that travel, each data or zero, in whole 4 KiB blocks; nil when hashes must tell.
    func selected(from source: any ExtentSource) throws -> ExtentMap? {
        let ranges: ExtentMap
        switch extents {
        case .everything:
            ranges = .whole(size)
        case .changed(let bitmap, let also):
            ranges = try source.changes(bitmap: bitmap ?? "backup-" + target).union(try ExtentMap(checked: also))
        case .differing:
            return nil
        }
        // Blocks that are zero only in part become data, so nothing is said of a byte that was not looked at.
        let whole = ranges.aligned(to: BlockGrid.block, size: size)
        return try source.allocation(of: whole).aligned(to: BlockGrid.block, size: size)
    }
}

extension ExtentMap {
    /// The ranges as data; throws on one that ends beyond 2^64.
    init(checked ranges: [ByteRange]) throws {
        guard ranges.allSatisfy({ !$0.offset.addingReportingOverflow($0.length).overflow }) else {
            throw ReplicationError(
                .invalidArgument, "a range of a disk ends beyond 2^64", hint: "give ranges that lie on the disk")
        }
        self.init(ranges.map { Extent(offset: $0.offset, length: $0.length) })
    }

    /// All extents as ranges, at most about `limit` of them: where there are more, near neighbours are joined over the
    /// gap between them.
    ///
    /// A set of what may differ stays right when it grows.
    func ranges(atMost limit: Int) -> [ByteRange] {
        var ranges: [ByteRange] = []
        var gap: UInt64 = 0
        while true {
            ranges.removeAll(keepingCapacity: true)
            for extent in self {
                if let last = ranges.last, extent.offset - (last.offset + last.length) <= gap {
                    ranges[ranges.count - 1].length = extent.end - last.offset
                } else {
                    ranges.append(ByteRange(offset: extent.offset, length: extent.length))
                }
            }
            if ranges.count <= limit { return ranges }
            gap = gap == 0 ? BlockGrid.block : gap * 2
        }
    }
}
