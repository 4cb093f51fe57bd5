extension DiskSender {
    /// Sends the extents, a second thread reading ahead; returns the bytes of content when all has left.
    @discardableResult
    func send(_ extents: ExtentMap, of source: any ExtentSource, _ content: ContentStream) throws -> UInt64 {
        var bytes: UInt64 = 0
        meter.expect(extents.dataByteCount)
        let pool = BufferPool(count: ReadShape.buffers, bufferSize: ReadShape.requestSize)
        interrupt.onTrigger { [weak pool] in pool?.wake() }
        let filled = HandOff<FilledBuffer>(interrupt)
        let reader = WorkerThread("agent-read-\(disk.target)") { [interrupt] in
            do {
                try source.read(extents, pool: pool) { filled.put($0) }
                filled.finish()
            } catch {
                interrupt.trigger(error)
            }
        }
        let sending = Result {
            try content.begin(extents)
            for extent in extents where extent.isZero {
                try content.hear()
                try content.sendZeros(offset: extent.offset, length: extent.length)
            }
            while let item = try filled.next(interrupt) {
                defer { pool.giveBack(item.buffer) }
                try content.hear()
                let sent = try content.send(item)
                bytes += sent
                try content.askAhead()
                meter.moved(UInt64(item.count), sent: sent)
            }
        }
        if case .failure(let error) = sending { interrupt.trigger(error) }
        try? reader.join()
        try sending.get()
        return bytes
    }
}
