// Compression of answers. A fresh zlib stream costs more than compressing a page with it, so streams are kept and reset.
import CZlib
import NIOCore
import Synchronization

/// Compresses whole bodies as gzip (RFC 1952) with streams that are used again and again.
final class GzipPool: Sendable {
    /// Streams kept between answers: as many as can compress at once on a large machine. Each holds 256 KiB.
    private static let keptMax = 16

    private let kept = Mutex<[DeflateStream]>([])

    /// - Returns: nil when zlib cannot get memory; the answer then travels as it is.
    func compress(_ body: ByteBuffer) -> ByteBuffer? {
        guard let stream = kept.withLock({ $0.popLast() }) ?? DeflateStream() else { return nil }
        let compressed = stream.compress(body)
        kept.withLock { kept in
            if kept.count < Self.keptMax { kept.append(stream) }
        }
        return compressed
    }
}

/// One zlib stream. Used by one thread at a time: whoever took it out of the pool.
private final class DeflateStream: @unchecked Sendable {
    /// The usual trade of size and time; level 9 saves 1 % more and takes twice as long on pages of ours.
    private static let level: Int32 = 6
    /// 32 KiB of window, and 16 more to ask for a gzip header instead of a zlib one (zlib.h, deflateInit2).
    private static let gzipWindowBits: Int32 = 15 + 16
    private static let memoryLevel: Int32 = 8

    private let stream: UnsafeMutablePointer<z_stream>

    init?() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let status = deflateInit2_(
            stream, Self.level, Z_DEFLATED, Self.gzipWindowBits, Self.memoryLevel, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    func compress(_ body: ByteBuffer) -> ByteBuffer? {
        guard deflateReset(stream) == Z_OK else { return nil }
        let bound = Int(deflateBound(stream, UInt(body.readableBytes)))
        var compressed = ByteBufferAllocator().buffer(capacity: bound)
        let isWhole = body.withUnsafeReadableBytes { input in
            compressed.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { output in
                // zlib does not write to its input; its header only lacks the const.
                stream.pointee.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
                stream.pointee.avail_in = UInt32(input.count)
                stream.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
                stream.pointee.avail_out = UInt32(output.count)
                let status = deflate(stream, Z_FINISH)
                return status == Z_STREAM_END ? output.count - Int(stream.pointee.avail_out) : 0
            } > 0
        }
        return isWhole ? compressed : nil
    }
}
