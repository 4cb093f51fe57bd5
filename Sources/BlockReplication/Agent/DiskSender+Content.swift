extension DiskSender {
    /// Sends the extents, a second thread reading ahead, and waits for the receiver's word that it has them.
    func send(_ extents: ExtentMap, of source: any ExtentSource, _ content: ContentStream) throws -> Hash128 {
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
            try content.askAhead()
            for extent in extents where extent.isZero {
                try content.hear()
                try content.sendZeros(offset: extent.offset, length: extent.length)
            }
            while let item = try filled.next(interrupt) {
                defer { pool.giveBack(item.buffer) }
                try content.hear()
                let sent = try content.send(item)
                try content.askAhead()
                meter.moved(UInt64(item.count), sent: sent)
            }
        }
        if case .failure(let error) = sending { interrupt.trigger(error) }
        try? reader.join()
        try sending.get()
        return try content.finish()
    }
}
