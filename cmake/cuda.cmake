# The CUDA compiler, for the few .cu files of the trainer. nvcc is called by hand: as a CMake language it would
# also want to link, and every configuration would wait for its checks. No exceptions: nothing needs libstdc++.
#   WATTQ_HAVE_CUDA       set where the backend is built
#   wattq_cuda(OUT a.cu)  compiles; the objects' names come back in OUT
set(WATTQ_HAVE_CUDA OFF)
# The sanitizers are the C compiler's, and code that nvcc's host compiler made knows nothing of them.
if(WATTQ_CUDA STREQUAL "ON" OR (WATTQ_CUDA STREQUAL "AUTO" AND NOT (WATTQ_ASAN OR WATTQ_TSAN OR WATTQ_FUZZ)))
    find_package(CUDAToolkit 12.0 QUIET)
    if(CUDAToolkit_FOUND AND CUDAToolkit_NVCC_EXECUTABLE AND TARGET CUDA::cudart_static
            AND EXISTS ${CUDAToolkit_INCLUDE_DIRS}/cublasLt.h)
        set(WATTQ_HAVE_CUDA ON)
    elseif(WATTQ_CUDA STREQUAL "ON")
        message(FATAL_ERROR "WATTQ_CUDA=ON, and there is no nvcc 12 or newer with cudart_static and cublasLt.h;"
            " name the toolkit with -DCUDAToolkit_ROOT=DIR, or leave WATTQ_CUDA=AUTO")
    endif()
endif()
if(WATTQ_HAVE_CUDA)
    message(STATUS "GPU backend of the trainer: CUDA ${CUDAToolkit_VERSION}")
else()
    message(STATUS "GPU backend of the trainer: not built")
endif()

# One machine code per generation that differs, and PTX from which a driver makes that of newer cards.
set(WATTQ_CUDA_ARCH 75 80 90)
if(CUDAToolkit_VERSION VERSION_LESS 13)
    list(PREPEND WATTQ_CUDA_ARCH 70)
endif()
set(WATTQ_CUDA_FLAGS -std=c++20 -O3 -Werror all-warnings -Xcompiler -Wall,-Wextra,-Werror,-fPIC,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics
    -gencode arch=compute_90,code=compute_90)
foreach(arch ${WATTQ_CUDA_ARCH})
    list(APPEND WATTQ_CUDA_FLAGS -gencode arch=compute_${arch},code=sm_${arch})
endforeach()

function(wattq_cuda out)
    set(objects)
    foreach(src ${ARGN})
        get_filename_component(name ${src} NAME)
        set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
        add_custom_command(OUTPUT ${object}
            COMMAND ${CUDAToolkit_NVCC_EXECUTABLE} ${WATTQ_CUDA_FLAGS} -D_GNU_SOURCE -DWATTQ_HAVE_CUDA
                    -I${CMAKE_SOURCE_DIR} -MD -MF ${object}.d -c -o ${object} ${src}
            DEPENDS ${src} DEPFILE ${object}.d VERBATIM COMMENT "Building CUDA object ${name}.o")
        list(APPEND objects ${object})
    endforeach()
    set(${out} ${objects} PARENT_SCOPE)
endfunction()
