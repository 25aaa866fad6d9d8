# The files of an application on several machines (scripts/new --nodes), after postgres.sed.
s|^#include <vestry/app/application\.h>|#include <vestry/cluster/nats.h>\n\n/* This process among those of the application; without a name it is alone. */\nextern vestry_nats_node app_node;|
s|^const vestry_application_options app_options|vestry_nats_node app_node;\n\n&|
s|^    \.entries = entries,|&\n    VESTRY_NATS(\&app_node),|
s|^  const vestry_program_options program|  const vestry_program_option options[] = {\n      {"node", "NAME", "name of this process among the others [none: it is alone]", VESTRY_INTO(\&app_node.name)},\n      {"cluster", "URL", "the broker of the processes [nats://127.0.0.1:4222]", VESTRY_INTO(\&app_node.url)},\n      {0}};\n&|
s|^      \.about = .*, \.adapters = adapters, |&.options = options,\n      |
s|microhttpd postgres testing|microhttpd nats postgres testing|
s|vestry::postgres)|vestry::postgres vestry::nats)|
s|^ExecStart=.*|& --node %H --cluster nats://127.0.0.1:4222|
s|^    build/APPNAME  .*|&\n    build/APPNAME --node one --port 8081       # and --node two --port 8082: two nodes, with nats-server running|
