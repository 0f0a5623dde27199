// Notifications: heard by every listener, and again after the connection was lost.
import Foundation
import Postgres
import Testing

@Suite struct ListenTests {
    @Test func payloadsArriveInOrder() async throws {
        try await withDatabase { database in
            var first = database.listen(channel: "news").makeAsyncIterator()
            var second = database.listen(channel: "news").makeAsyncIterator()
            var other = database.listen(channel: "Other \"news\"").makeAsyncIterator()
            #expect(await first.next() == "")
            #expect(await second.next() == "")
            #expect(await other.next() == "")
            for number in 0..<10 { try await database.execute("SELECT pg_notify('news', \("payload \(number)"))") }
            try await database.execute("SELECT pg_notify('Other \"news\"', 'elsewhere')")
            for number in 0..<10 {
                var heard = await first.next()
                // The second listener's LISTEN may make itself known to the first one too.
                if heard == "" { heard = await first.next() }
                #expect(heard == "payload \(number)")
            }
            #expect(await second.next() == "payload 0")
            #expect(await other.next() == "elsewhere")
        }
    }

    @Test func listeningComesBackAfterALoss() async throws {
        try await withDatabase { database in
            var stream = database.listen(channel: "lost_and_found").makeAsyncIterator()
            #expect(await stream.next() == "")
            try await withObserver { observer in
                let killed = try await observer.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN \"lost_and_found\"'")
                #expect(killed == 1)
            }
            // The empty payload says: I was away, look for yourself.
            #expect(await stream.next() == "")
            try await database.execute("SELECT pg_notify('lost_and_found', 'again')")
            #expect(await stream.next() == "again")
        }
    }

    @Test func aListenerThatStoppedIsForgotten() async throws {
        try await withDatabase { database in
            let task = Task {
                for await _ in database.listen(channel: "left") { break }
            }
            await task.value
            try await withObserver { observer in
                try await eventually {
                    try await observer.value("SELECT count(*) FROM pg_stat_activity WHERE query = 'UNLISTEN \"left\"'", as: Int.self) == 1
                }
            }
        }
    }

    @Test func streamsEndAtShutdown() async throws {
        var stream: AsyncStream<String>.AsyncIterator?
        try await withDatabase { database in
            stream = database.listen(channel: "ending").makeAsyncIterator()
            try await database.execute("SELECT 1")
        }
        while let payload = await stream?.next() { #expect(payload == "") }
    }
}
