// Echo and broadcast on uWebSockets, for scripts/bench-peers: one thread, no compression.
// `/` echoes, `/broadcast` sends every message to everyone there, the sender included.
// It corks by itself within a handler, and its publish gathers what one turn of the loop brings.
#include "App.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

// Longest message taken, and the most that may wait for a peer before messages to it are dropped.
constexpr unsigned max_message = 4u << 20;
constexpr unsigned max_waiting = 64u << 20;
constexpr const char *topic = "all";

struct PerSocket {};
using Socket = uWS::WebSocket<false, true, PerSocket>;

uWS::App::WebSocketBehavior<PerSocket> behavior() {
    uWS::App::WebSocketBehavior<PerSocket> settings;
    settings.compression = uWS::DISABLED;
    settings.maxPayloadLength = max_message;
    settings.maxBackpressure = max_waiting;
    settings.idleTimeout = 0;
    settings.sendPingsAutomatically = false;
    return settings;
}

}  // namespace

int main() {
    uWS::App app;
    auto broadcast = behavior();
    broadcast.open = [](Socket *socket) { socket->subscribe(topic); };
    broadcast.message = [&app](Socket *, std::string_view message, uWS::OpCode opcode) {
        app.publish(topic, message, opcode);
    };
    auto echo = behavior();
    echo.message = [](Socket *socket, std::string_view message, uWS::OpCode opcode) {
        socket->send(message, opcode);
    };
    app.ws<PerSocket>("/broadcast", std::move(broadcast));
    app.ws<PerSocket>("/*", std::move(echo));
    app.listen("127.0.0.1", 0, [](us_listen_socket_t *listener) {
        if (!listener) {
            std::fputs("could not listen on 127.0.0.1\n", stderr);
            std::exit(1);
        }
        int port = us_socket_local_port(0, reinterpret_cast<us_socket_t *>(listener));
        std::printf("listening on ws://127.0.0.1:%d\n", port);
        std::fflush(stdout);
    });
    app.run();
}
